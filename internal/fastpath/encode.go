package fastpath

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writer writes JSON byte for byte as the library does: members in the order of the Go types, those left out that are
// empty, keys of maps sorted.
type writer []byte

// maxAnswer is the longest answer. The generic chain compresses longer ones.
const maxAnswer = 128 << 10

// encode writes the answer. It reports false for one that is too long.
func (c *call) encode() bool {
	return c.render() && len(c.body.out) <= maxAnswer
}

func (c *call) render() bool {
	if c.accepted == inProtobuf {
		return c.encodeProtobuf()
	}
	out := writer(c.body.out[:0])
	if c.route == reviews {
		out.review(&c.review)
	} else {
		out.request(&c.token)
	}
	c.body.out = append(out, '\n')
	return true
}

func (w *writer) raw(text string) { *w = append(*w, text...) }

// string writes a string.
func (w *writer) string(value string) {
	for i := range len(value) {
		switch b := value[i]; {
		case b < ' ' || b > '~' || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&':
			// The library escapes what HTML gives a meaning, too.
			quoted, _ := json.Marshal(value) // no string fails
			*w = append(*w, quoted...)
			return
		}
	}
	*w = append(*w, '"')
	*w = append(*w, value...)
	*w = append(*w, '"')
}

// member writes a member that has a string; first says that it is the first one of its object.
func (w *writer) member(name, value string) {
	if value == "" {
		return
	}
	w.name(name)
	w.string(value)
}

// name begins a member.
func (w *writer) name(name string) {
	if last := (*w)[len(*w)-1]; last != '{' {
		*w = append(*w, ',')
	}
	*w = append(*w, '"')
	*w = append(*w, name...)
	*w = append(*w, '"', ':')
}

// list writes a list of strings.
func (w *writer) list(values []string) {
	*w = append(*w, '[')
	for i, value := range values {
		if i > 0 {
			*w = append(*w, ',')
		}
		w.string(value)
	}
	*w = append(*w, ']')
}

// members writes a member that has a list, if that isn't empty.
func (w *writer) members(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.name(name)
	w.list(values)
}

func (w *writer) review(r *authenticationv1.TokenReview) {
	w.raw(`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{`)
	w.member("token", r.Spec.Token)
	w.members("audiences", r.Spec.Audiences)
	w.raw(`},"status":{`)
	if r.Status.Authenticated {
		w.raw(`"authenticated":true`)
	}
	w.name("user")
	w.user(&r.Status.User)
	w.members("audiences", r.Status.Audiences)
	w.member("error", r.Status.Error)
	w.raw("}}")
}

func (w *writer) user(u *authenticationv1.UserInfo) {
	w.raw("{")
	w.member("username", u.Username)
	w.member("uid", u.UID)
	w.members("groups", u.Groups)
	if len(u.Extra) > 0 {
		w.name("extra")
		w.extra(u.Extra)
	}
	w.raw("}")
}

func (w *writer) extra(extra map[string]authenticationv1.ExtraValue) {
	var some [8]string
	keys := some[:0]
	for key := range extra {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	w.raw("{")
	for i, key := range keys {
		if i > 0 {
			w.raw(",")
		}
		w.string(key)
		w.raw(":")
		if values := extra[key]; values != nil {
			w.list(values)
		} else {
			w.raw("null")
		}
	}
	w.raw("}")
}

func (w *writer) request(r *authenticationv1.TokenRequest) {
	w.raw(`{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{`)
	w.member("name", r.Name)
	w.member("namespace", r.Namespace)
	w.member("uid", string(r.UID))
	w.name("creationTimestamp")
	w.time(r.CreationTimestamp)
	w.raw(`},"spec":{"audiences":`)
	w.list(r.Spec.Audiences)
	w.raw(`,"expirationSeconds":`)
	*w = strconv.AppendInt(*w, *r.Spec.ExpirationSeconds, 10)
	w.raw(`,"boundObjectRef":`)
	w.boundObject(r.Spec.BoundObjectRef)
	w.raw(`},"status":{"token":`)
	w.string(r.Status.Token)
	w.raw(`,"expirationTimestamp":`)
	w.time(r.Status.ExpirationTimestamp)
	w.raw("}}")
}

func (w *writer) time(t metav1.Time) {
	*w = append(*w, '"')
	*w = t.UTC().AppendFormat(*w, time.RFC3339)
	*w = append(*w, '"')
}

func (w *writer) boundObject(ref *authenticationv1.BoundObjectReference) {
	if ref == nil {
		w.raw("null")
		return
	}
	w.raw("{")
	w.member("kind", ref.Kind)
	w.member("apiVersion", ref.APIVersion)
	w.member("name", ref.Name)
	w.member("uid", string(ref.UID))
	w.raw("}")
}
