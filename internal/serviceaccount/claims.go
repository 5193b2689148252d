// Package serviceaccount owns the service account token: its claims, written and read back here, and the check that
// tells whom a token belongs to (RFC 7519; KEP-1205, KEP-4193).
package serviceaccount

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/apimachinery/pkg/types"
	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"
	credentialid "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/boundobject"
)

// Claims is what a service account token says. Times are whole seconds since the epoch; nil means that the token
// doesn't say.
type Claims struct {
	Issuer    string
	Subject   string
	Audiences []string
	ID        string
	Expiry    *int64
	NotBefore *int64
	IssuedAt  *int64
	// WarnAfter is when a token with an extended life should have been replaced.
	WarnAfter *int64
	Binding   boundobject.Binding
	// dangling says that the token claims to be bound to an object and doesn't say to which. None is ever issued so.
	dangling bool
}

// NewClaims returns the claims of a token that is good for ttl from now. A warnAfter of zero means that the token's
// life is not extended.
func NewClaims(issuer, id string, b boundobject.Binding, audiences []string, now time.Time, ttl, warnAfter time.Duration) Claims {
	at := func(t time.Time) *int64 {
		seconds := t.Unix()
		return &seconds
	}
	c := Claims{
		Issuer:    issuer,
		Subject:   serviceaccountuser.MakeUsername(b.Namespace, b.ServiceAccount.Name),
		Audiences: audiences,
		ID:        id,
		Expiry:    at(now.Add(ttl)),
		NotBefore: at(now),
		IssuedAt:  at(now),
		Binding:   b,
	}
	if warnAfter > 0 {
		c.WarnAfter = at(now.Add(warnAfter))
	}
	return c
}

// The wire form of the claims. Members are in the order in which kube-apiserver writes them, which is alphabetical.
type (
	wireClaims struct {
		Audiences  []string   `json:"aud,omitempty"`
		Expiry     *int64     `json:"exp,omitempty"`
		IssuedAt   *int64     `json:"iat,omitempty"`
		Issuer     string     `json:"iss,omitempty"`
		ID         string     `json:"jti,omitempty"`
		Kubernetes kubernetes `json:"kubernetes.io"`
		NotBefore  *int64     `json:"nbf,omitempty"`
		Subject    string     `json:"sub,omitempty"`
	}
	kubernetes struct {
		Namespace string       `json:"namespace,omitempty"`
		Node      *ref         `json:"node,omitempty"`
		Pod       *ref         `json:"pod,omitempty"`
		Secret    *ref         `json:"secret,omitempty"`
		Svcacct   ref          `json:"serviceaccount,omitempty"`
		WarnAfter *numericDate `json:"warnafter,omitempty"`
	}
	ref struct {
		Name string `json:"name,omitempty"`
		UID  string `json:"uid,omitempty"`
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

// Encode returns the claims as JSON, the payload of the token.
func (c Claims) Encode() ([]byte, error) {
	b := c.Binding
	wire := wireClaims{
		Audiences: c.Audiences,
		Expiry:    c.Expiry,
		IssuedAt:  c.IssuedAt,
		Issuer:    c.Issuer,
		ID:        c.ID,
		NotBefore: c.NotBefore,
		Subject:   c.Subject,
		Kubernetes: kubernetes{
			Namespace: b.Namespace,
			Node:      encodeRef(b.Node),
			Pod:       encodeRef(b.Pod),
			Secret:    encodeRef(b.Secret),
			Svcacct:   ref{Name: b.ServiceAccount.Name, UID: string(b.ServiceAccount.UID)},
			WarnAfter: (*numericDate)(c.WarnAfter),
		},
	}
	return json.Marshal(wire)
}

func encodeRef(r boundobject.Ref) *ref {
	if r == (boundobject.Ref{}) {
		return nil
	}
	return &ref{Name: r.Name, UID: string(r.UID)}
}

// decodeClaims reads back what Encode wrote. Names of members match exactly, and a member that stands twice is refused:
// two readers of the same token must never see two different things.
func decodeClaims(payload []byte) (Claims, error) {
	var public publicClaims
	if err := josejson.Unmarshal(payload, &public); err != nil {
		return Claims{}, err
	}
	var private privateClaims
	if err := josejson.Unmarshal(payload, &private); err != nil {
		return Claims{}, err
	}
	k := private.Kubernetes
	return Claims{
		Issuer:    public.Issuer,
		Subject:   public.Subject,
		Audiences: public.Audiences,
		ID:        public.ID,
		Expiry:    (*int64)(public.Expiry),
		NotBefore: (*int64)(public.NotBefore),
		IssuedAt:  (*int64)(public.IssuedAt),
		WarnAfter: (*int64)(k.WarnAfter),
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

// empty reports whether there is a reference, and it refers to nothing.
func (r *ref) empty() bool { return r != nil && *r == ref{} }

func decodeRef(r *ref) boundobject.Ref {
	if r == nil {
		return boundobject.Ref{}
	}
	return boundobject.Ref{Name: r.Name, UID: types.UID(r.UID)}
}

// user is whom the claims name. The groups have that of everybody who has proved who they are among them, which would
// otherwise be added to a copy at every request.
func (c *Claims) user() *user.DefaultInfo {
	b := &c.Binding
	info := (&serviceaccountuser.ServiceAccountInfo{
		Namespace:    b.Namespace,
		Name:         b.ServiceAccount.Name,
		UID:          string(b.ServiceAccount.UID),
		PodName:      b.Pod.Name,
		PodUID:       string(b.Pod.UID),
		NodeName:     b.Node.Name,
		NodeUID:      string(b.Node.UID),
		CredentialID: credentialid.CredentialIDForJTI(c.ID),
	}).UserInfo()
	return &user.DefaultInfo{
		Name:   info.GetName(),
		UID:    info.GetUID(),
		Groups: slices.Clip(append(info.GetGroups(), user.AllAuthenticated)),
		Extra:  info.GetExtra(),
	}
}
