// Package serviceaccount owns the service account token: its claims, written and read back here, and the check that
// tells to which account a token belongs (RFC 7519; KEP-1205, KEP-4193).
package serviceaccount

import (
	"math"
	"strconv"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/apimachinery/pkg/types"
	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/plainjson"
	"github.com/mintmark/mintmark/internal/reason"
)

// Claims is what a service account token says.
type Claims struct {
	Issuer    string
	Subject   string
	Audiences []string
	ID        string
	Expiry    Date
	NotBefore Date
	IssuedAt  Date
	// WarnAfter is when a token with an extended life should have been replaced.
	WarnAfter Date
	Binding   boundobject.Binding
	// dangling says that the token has a reference to a bound object with neither name nor UID. Mintmark issues no such token.
	dangling bool
}

// Date is a time that a token names, or doesn't: a NumericDate (RFC 7519 section 2).
type Date struct {
	// Seconds since the epoch, whole ones.
	Seconds int64
	Given   bool
}

func dateOf(t time.Time) Date { return Date{Seconds: t.Unix(), Given: true} }

// NewClaims returns the claims of a token that is good for ttl from now. A warnAfter of zero means that the token's
// life is not extended.
func NewClaims(issuer, id string, b boundobject.Binding, audiences []string, now time.Time, ttl, warnAfter time.Duration) Claims {
	c := Claims{
		Issuer:    issuer,
		Subject:   serviceaccountuser.MakeUsername(b.Namespace, b.ServiceAccount.Name),
		Audiences: audiences,
		ID:        id,
		Expiry:    dateOf(now.Add(ttl)),
		NotBefore: dateOf(now),
		IssuedAt:  dateOf(now),
		Binding:   b,
	}
	if warnAfter > 0 {
		c.WarnAfter = dateOf(now.Add(warnAfter))
	}
	return c
}

// The claims that are Kubernetes' own, as they are read.
type (
	kubernetes struct {
		Namespace string       `json:"namespace"`
		Node      *ref         `json:"node"`
		Pod       *ref         `json:"pod"`
		Secret    *ref         `json:"secret"`
		Svcacct   ref          `json:"serviceaccount"`
		WarnAfter *numericDate `json:"warnafter"`
	}
	ref struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	}
)

// privateClaims is the part of the claims that is Kubernetes' own. The names of these types show in the errors that
// clients get for claims of the wrong type.
type privateClaims struct {
	Kubernetes kubernetes `json:"kubernetes.io"`
}

// publicClaims are the registered claims as they are read (RFC 7519 section 4.1).
type publicClaims struct {
	Issuer    string       `json:"iss"`
	Subject   string       `json:"sub"`
	Audiences jwt.Audience `json:"aud"`
	Expiry    *numericDate `json:"exp"`
	NotBefore *numericDate `json:"nbf"`
	IssuedAt  *numericDate `json:"iat"`
	ID        string       `json:"jti"`
}

// numericDate is a time in seconds since the epoch. It is read as the library reads it, fractions cut off, but a number
// that is no such time is refused: the library would take it for an arbitrary one, and a token "not before" a date too
// far away to be counted would be good at once.
type numericDate int64

// UnmarshalJSON reads a JSON number.
func (d *numericDate) UnmarshalJSON(text []byte) error {
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || seconds < math.MinInt64 || seconds >= math.MaxInt64 {
		return jwt.ErrUnmarshalNumericDate
	}
	*d = numericDate(seconds)
	return nil
}

func (d *numericDate) date() Date {
	if d == nil {
		return Date{}
	}
	return Date{Seconds: int64(*d), Given: true}
}

// Encode returns the claims as JSON, the payload of the token. Members are in the order in which kube-apiserver writes
// them, which is alphabetical.
func (c *Claims) Encode() []byte {
	w := make(plainjson.Writer, 0, usualPayload)
	w.Raw("{")
	w.Members("aud", c.Audiences)
	writeDate(&w, "exp", c.Expiry)
	writeDate(&w, "iat", c.IssuedAt)
	w.Member("iss", c.Issuer)
	w.Member("jti", c.ID)
	b := &c.Binding
	w.Name("kubernetes.io")
	w.Raw("{")
	w.Member("namespace", b.Namespace)
	writeRef(&w, "node", b.Node)
	writeRef(&w, "pod", b.Pod)
	writeRef(&w, "secret", b.Secret)
	writeRef(&w, "serviceaccount", b.ServiceAccount)
	writeDate(&w, "warnafter", c.WarnAfter)
	w.Raw("}")
	writeDate(&w, "nbf", c.NotBefore)
	w.Member("sub", c.Subject)
	w.Raw("}")
	return w
}

// usualPayload is a length within which claims usually are.
const usualPayload = 768

func writeDate(w *plainjson.Writer, name string, d Date) {
	if d.Given {
		w.Name(name)
		w.Int(d.Seconds)
	}
}

func writeRef(w *plainjson.Writer, name string, r boundobject.Ref) {
	if r == (boundobject.Ref{}) {
		return
	}
	w.Name(name)
	w.Raw("{")
	w.Member("name", r.Name)
	w.Member("uid", string(r.UID))
	w.Raw("}")
}

var (
	claimMembers = []string{"aud", "exp", "iat", "iss", "jti", "kubernetes.io", "nbf", "sub"}
	ownMembers   = []string{"namespace", "node", "pod", "secret", "serviceaccount", "warnafter"}
	refMembers   = []string{"name", "uid"}
)

// readClaims reads back what Encode wrote. It reports false for claims that are written in another way, which may still
// mean the same: those are for decodeClaims.
func readClaims(payload string) (c Claims, ok bool) {
	r := plainjson.NewReader(payload)
	r.Object(claimMembers, func(place int) {
		switch claimMembers[place] {
		case "aud":
			c.Audiences = r.Strings()
		case "exp":
			c.Expiry = readDate(&r)
		case "iat":
			c.IssuedAt = readDate(&r)
		case "iss":
			c.Issuer = r.String()
		case "jti":
			c.ID = r.String()
		case "kubernetes.io":
			readOwn(&r, &c)
		case "nbf":
			c.NotBefore = readDate(&r)
		case "sub":
			c.Subject = r.String()
		}
	})
	return c, r.Done()
}

func readOwn(r *plainjson.Reader, c *Claims) {
	b := &c.Binding
	r.Object(ownMembers, func(place int) {
		switch ownMembers[place] {
		case "namespace":
			b.Namespace = r.String()
		case "node":
			b.Node = readRef(r)
		case "pod":
			b.Pod = readRef(r)
		case "secret":
			b.Secret = readRef(r)
		case "serviceaccount":
			b.ServiceAccount = readRef(r)
		case "warnafter":
			c.WarnAfter = readDate(r)
		}
	})
}

func readDate(r *plainjson.Reader) Date { return Date{Seconds: r.Number(), Given: true} }

// readRef reads a reference. One to nothing is never written.
func readRef(r *plainjson.Reader) (ref boundobject.Ref) {
	r.Object(refMembers, func(place int) {
		switch refMembers[place] {
		case "name":
			ref.Name = r.String()
		case "uid":
			ref.UID = types.UID(r.String())
		}
	})
	if ref == (boundobject.Ref{}) {
		r.Fail()
	}
	return ref
}

// decodeClaims reads claims however they are written. Names of members match exactly, and a member that stands twice is refused:
// two readers of the same token must never see two different things.
func decodeClaims(payload []byte) (Claims, error) {
	var public publicClaims
	if err := josejson.Unmarshal(payload, &public); err != nil {
		return Claims{}, reason.With(reason.BadClaims, err)
	}
	var private privateClaims
	if err := josejson.Unmarshal(payload, &private); err != nil {
		return Claims{}, reason.With(reason.BadClaims, err)
	}
	k := private.Kubernetes
	return Claims{
		Issuer:    public.Issuer,
		Subject:   public.Subject,
		Audiences: public.Audiences,
		ID:        public.ID,
		Expiry:    public.Expiry.date(),
		NotBefore: public.NotBefore.date(),
		IssuedAt:  public.IssuedAt.date(),
		WarnAfter: k.WarnAfter.date(),
		Binding: boundobject.Binding{
			Namespace:      k.Namespace,
			ServiceAccount: decodeRef(&k.Svcacct),
			Pod:            decodeRef(k.Pod),
			Secret:         decodeRef(k.Secret),
			Node:           decodeRef(k.Node),
		},
		// The node of a pod is there for information only.
		dangling: k.Secret.empty() || k.Pod.empty() || k.Pod == nil && k.Node.empty(),
	}, nil
}

// ReadClaims reads the payload of a token that another server issued.
func ReadClaims(payload []byte) (Claims, error) { return decodeClaims(payload) }

// Dangling reports whether the token has a reference to a bound object with neither name nor UID.
func (c *Claims) Dangling() bool { return c.dangling }

// empty reports whether there is a reference, and it refers to nothing.
func (r *ref) empty() bool { return r != nil && *r == ref{} }

func decodeRef(r *ref) boundobject.Ref {
	if r == nil {
		return boundobject.Ref{}
	}
	return boundobject.Ref{Name: r.Name, UID: types.UID(r.UID)}
}
