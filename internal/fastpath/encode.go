package fastpath

import (
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/plainjson"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// maxAnswer is the longest answer to one review or request. The generic chain compresses longer ones.
const maxAnswer = 128 << 10

// encode writes the answer: in JSON byte for byte as the library does, members in the order of the Go types. It reports
// false for one that is too long.
func (c *call) encode() bool {
	return c.render() && len(c.payload.body.out) <= c.route.maxAnswer
}

func (c *call) render() bool {
	if c.arrival.accepted == inProtobuf {
		return c.encodeProtobuf()
	}
	w := plainjson.Writer(c.payload.body.out)
	switch {
	case c.route.lists != nil:
		writeResults(&w, c.answer.results)
	case c.route.reviewer != nil:
		writeReview(&w, &c.payload.review.Spec, &c.answer.verdict)
	default:
		writeRequest(&w, &c.payload.token)
	}
	w.Raw("\n")
	c.payload.body.out = w
	return true
}

func writeReview(w *plainjson.Writer, spec *authenticationv1.TokenReviewSpec, verdict *tokenreview.Verdict) {
	w.Raw(`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{`)
	w.Member("token", spec.Token)
	w.Members("audiences", spec.Audiences)
	w.Raw(`},"status":`)
	writeVerdict(w, verdict)
	w.Raw("}")
}

func writeVerdict(w *plainjson.Writer, verdict *tokenreview.Verdict) {
	w.Raw("{")
	if verdict.User != nil {
		w.Raw(`"authenticated":true,"user":{`)
		writeUser(w, verdict.User)
	} else {
		w.Raw(`"user":{`)
	}
	w.Raw("}")
	w.Members("audiences", verdict.Audiences)
	w.Member("error", verdict.Error)
	w.Raw("}")
}

func writeUser(w *plainjson.Writer, u user.Info) {
	w.Member("username", u.GetName())
	w.Member("uid", u.GetUID())
	w.Members("groups", u.GetGroups())
	if u, ok := u.(sorted); ok {
		writeSorted(w, u.SortedExtra())
		return
	}
	if extra := u.GetExtra(); len(extra) > 0 {
		w.Name("extra")
		writeExtra(w, extra)
	}
}

// sorted is a user whose extra is stored in the order of the keys, with one value for each.
type sorted interface{ SortedExtra() [][2]string }

func writeSorted(w *plainjson.Writer, extra [][2]string) {
	if len(extra) == 0 {
		return
	}
	w.Name("extra")
	w.Raw("{")
	for _, pair := range extra {
		w.Name(pair[0])
		w.Raw("[")
		w.String(pair[1])
		w.Raw("]")
	}
	w.Raw("}")
}

// usualExtra is as many as a user usually has.
const usualExtra = 8

func writeExtra(w *plainjson.Writer, extra map[string][]string) {
	var stack [usualExtra]string
	keys := stack[:0]
	for key := range extra {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	w.Raw("{")
	for i, key := range keys {
		if i > 0 {
			w.Raw(",")
		}
		w.String(key)
		w.Raw(":")
		if values := extra[key]; values != nil {
			w.List(values)
		} else {
			w.Raw("null")
		}
	}
	w.Raw("}")
}

func writeRequest(w *plainjson.Writer, r *authenticationv1.TokenRequest) {
	w.Raw(`{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{`)
	w.Member("name", r.Name)
	w.Member("namespace", r.Namespace)
	w.Member("uid", string(r.UID))
	w.Name("creationTimestamp")
	writeTime(w, r.CreationTimestamp)
	w.Raw(`},"spec":{"audiences":`)
	w.List(r.Spec.Audiences)
	w.Raw(`,"expirationSeconds":`)
	w.Int(*r.Spec.ExpirationSeconds)
	w.Raw(`,"boundObjectRef":`)
	writeBoundObject(w, r.Spec.BoundObjectRef)
	w.Raw(`},"status":{"token":`)
	w.String(r.Status.Token)
	w.Raw(`,"expirationTimestamp":`)
	writeTime(w, r.Status.ExpirationTimestamp)
	w.Raw("}}")
}

func writeTime(w *plainjson.Writer, t metav1.Time) {
	*w = append(*w, '"')
	*w = t.UTC().AppendFormat(*w, time.RFC3339)
	*w = append(*w, '"')
}

func writeBoundObject(w *plainjson.Writer, ref *authenticationv1.BoundObjectReference) {
	if ref == nil {
		w.Raw("null")
		return
	}
	w.Raw("{")
	w.Member("kind", ref.Kind)
	w.Member("apiVersion", ref.APIVersion)
	w.Member("name", ref.Name)
	w.Member("uid", string(ref.UID))
	w.Raw("}")
}
