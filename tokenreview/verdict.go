package tokenreview

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// verdict is what a review said of a token, and by what it ends. It does not have the token.
type verdict struct {
	response *authenticator.Response // nil for a refusal
	err      error                   // of a refusal

	// short and long are the instants until which it holds without a feed and with one.
	short, long int64
	// seq is the number of the last event before the review, checked that of the last one that left the verdict untouched.
	seq     uint64
	checked atomic.Uint64
	marks   []uint64 // what it depends on
	// issuedAt is the claim iat, if the token is dated.
	issuedAt int64
	dated    bool
	issuer   string
	expires  time.Time // the claim exp
}

// The refusals of good tokens.
var (
	errAudiences = errors.New("the token is not for this service")
	errNoAnswer  = errors.New("the server did not say for which of the audiences that were asked for the token is good: it does not know audiences")
	errRefused   = errors.New("the token was refused")
)

// newVerdict reads the status of a review.
func newVerdict(status *authenticationv1.TokenReviewStatus, token string, asked []string, seq uint64, ended *marks) *verdict {
	v := &verdict{seq: seq}
	if !status.Authenticated {
		v.err = errRefused
		if status.Error != "" {
			v.err = errors.New(without(status.Error, token))
		}
		return v
	}
	audiences := status.Audiences
	if len(asked) > 0 {
		audiences = slices.DeleteFunc(slices.Clone(asked), func(a string) bool { return !slices.Contains(status.Audiences, a) })
		switch {
		case len(status.Audiences) == 0:
			v.err = errNoAnswer
			return v
		case len(audiences) == 0:
			v.err = errAudiences
			return v
		}
	}
	info := &user.DefaultInfo{Name: status.User.Username, UID: status.User.UID, Groups: status.User.Groups}
	if len(status.User.Extra) > 0 {
		info.Extra = make(map[string][]string, len(status.User.Extra))
		for name, values := range status.User.Extra {
			info.Extra[name] = values
		}
	}
	v.response = &authenticator.Response{Audiences: audiences, User: info}
	v.depend(info, token, ended)
	return v
}

// maxText bounds a text of the server in an error.
const maxText = 1 << 10

// without returns a text of the server in which the token does not occur.
func without(text, token string) string {
	text = strings.ReplaceAll(text, token, "[token]")
	return text[:min(len(text), maxText)]
}

// claims are those of a token that say when it ends and by what.
type claims struct {
	Issuer     string       `json:"iss"`
	Subject    string       `json:"sub"`
	ID         string       `json:"jti"`
	Expires    *json.Number `json:"exp"`
	IssuedAt   *json.Number `json:"iat"`
	Kubernetes struct {
		Secret struct {
			Name string `json:"name"`
		} `json:"secret"`
	} `json:"kubernetes.io"`
	LegacySecret string `json:"kubernetes.io/serviceaccount/secret.name"`

	keyID string
}

// readClaims reads the claims of a token that a server has accepted. It reports false for a token that is no JWT.
func readClaims(token string) (c claims, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, false
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	for i, into := range []any{&header, &c} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(data, into) != nil {
			return claims{}, false
		}
	}
	c.keyID = header.KeyID
	return c, true
}

// seconds returns a NumericDate as a time. It reports false for none, or one that no calendar has.
func seconds(n *json.Number) (time.Time, bool) {
	if n == nil {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || math.Abs(f) > 1<<40 {
		return time.Time{}, false
	}
	return time.Unix(int64(math.Floor(f)), 0), true
}

// Names in a user's extra, as servers of Kubernetes write them.
const (
	extraPodName  = serviceaccount.PodNameKey
	extraNodeName = serviceaccount.NodeNameKey
	bootstrapUser = "system:bootstrap:"
)

// depend notes by what a verdict can end before its time.
func (v *verdict) depend(info *user.DefaultInfo, token string, ended *marks) {
	on := func(parts ...string) { v.marks = append(v.marks, ended.hash(parts...)) }
	on(markAll)
	if namespace, name, err := serviceaccount.SplitUsername(info.Name); err == nil {
		on("serviceaccounts", namespace, name)
		for _, pod := range info.Extra[extraPodName] {
			on("pods", namespace, pod)
		}
		for _, node := range info.Extra[extraNodeName] {
			on("nodes", "", node)
		}
	}
	if id, ok := strings.CutPrefix(info.Name, bootstrapUser); ok {
		on("secrets", "kube-system", "bootstrap-token-"+id)
	}
	c, ok := readClaims(token)
	if !ok {
		on(markOpaque)
		on(markNameless)
		return
	}
	v.issuer = strings.Clone(c.Issuer)
	v.expires, _ = seconds(c.Expires)
	if at, ok := seconds(c.IssuedAt); ok {
		v.issuedAt, v.dated = at.Unix(), true
	}
	on(markIssuer, c.Issuer)
	on(markSubject, c.Subject)
	on(markKey, c.keyID)
	if c.ID == "" {
		on(markNameless)
	} else {
		on(markID, c.ID)
	}
	if namespace, _, err := serviceaccount.SplitUsername(info.Name); err == nil {
		for _, secret := range []string{c.Kubernetes.Secret.Name, c.LegacySecret} {
			if secret != "" {
				on("secrets", namespace, secret)
			}
		}
	}
}

const (
	// verdictBytes is about what a verdict takes beside its texts, and mapBytes a small map.
	verdictBytes, mapBytes = 512, 360
	// textBytes is what a text takes beside its characters.
	textBytes = 24
)

// size is about how many bytes a verdict takes.
func (v *verdict) size() int {
	size := verdictBytes + 8*cap(v.marks) + len(v.issuer)
	texts := func(list ...string) {
		for _, text := range list {
			size += textBytes + len(text)
		}
	}
	if v.err != nil {
		texts(v.err.Error())
	}
	if v.response == nil {
		return size
	}
	texts(v.response.Audiences...)
	info := v.response.User
	texts(info.GetName(), info.GetUID())
	texts(info.GetGroups()...)
	if extra := info.GetExtra(); len(extra) > 0 {
		size += mapBytes
		for name, values := range extra {
			texts(name)
			texts(values...)
		}
	}
	return size
}
