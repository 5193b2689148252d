package forgery

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
)

const hour = int64(3600)

// Config is what the server lends for forgeries.
type Config struct {
	// Issue fills the status of a request with a good token of a service account.
	Issue func(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest) error
	// Sign returns a token that carries the claims, signed with the server's key.
	Sign func(ctx context.Context, algorithm string, claims []byte, end time.Time) (string, error)
	// KeySet returns the JSON Web Key Set that the server publishes.
	KeySet func() ([]byte, error)
	// Revoke takes a token back.
	Revoke func(ctx context.Context, token string) error
}

// Forger makes bad tokens. It is safe for concurrent use.
type Forger struct{ Config }

// New returns a forger.
func New(cfg Config) *Forger { return &Forger{cfg} }

// Request says which token is forged.
type Request struct {
	// Kind is the name of a kind.
	Kind string `json:"kind"`
	// Namespace and ServiceAccount name the account that the token seems to be of. It must exist.
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	// Audiences are those of the token, but for kinds about audiences. Default: the server's own.
	Audiences []string `json:"audiences,omitempty"`
}

// ErrKind says that there is no kind of a name.
var ErrKind = errors.New("there is no such kind of forged token: 'mintmark token forge --list-kinds' lists them")

// Forge makes a bad token.
func (f *Forger) Forge(ctx context.Context, request Request) (string, error) {
	kind, ok := find(request.Kind)
	if !ok {
		return "", ErrKind
	}
	good := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: request.Audiences}}
	if err := f.Issue(ctx, request.Namespace, request.ServiceAccount, good); err != nil {
		return "", err
	}
	t, err := read(good.Status.Token)
	if err != nil {
		return "", fmt.Errorf("the token that was to be forged can't be read: %w", err)
	}
	t.forger, t.life = f, *good.Spec.ExpirationSeconds
	return kind.make(t, ctx)
}

// token is a good token, which a kind takes apart.
type token struct {
	forger                           *Forger
	good, header, payload, signature string
	// life is how long it lives, in seconds.
	life int64
}

func read(good string) (*token, error) {
	parts := strings.Split(good, ".")
	if len(parts) != 3 {
		return nil, errors.New("it does not have three parts")
	}
	return &token{good: good, header: parts[0], payload: parts[1], signature: parts[2]}, nil
}

// object is a JSON object. Members that nothing touches stay as they are.
type object map[string]json.RawMessage

func decode(part string) (object, error) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, err
	}
	o := object{}
	return o, json.Unmarshal(data, &o)
}

func (o object) encode() (string, error) {
	data, err := json.Marshal(o)
	return base64.RawURLEncoding.EncodeToString(data), err
}

// set sets a member to a value that JSON can express.
func (o object) set(name string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // the values are strings, numbers, and lists and maps of those
	}
	o[name] = data
}

// shift moves all times by seconds.
func (o object) shift(seconds int64) {
	for _, name := range []string{"exp", "iat", "nbf"} {
		o.later(name, seconds)
	}
}

// later moves one time by seconds.
func (o object) later(name string, seconds int64) {
	var at int64
	if json.Unmarshal(o[name], &at) == nil {
		o.set(name, at+seconds)
	}
}

// account has the claims be of another account in the same namespace.
func (o object) account(name string) {
	namespace := struct {
		Namespace string `json:"namespace"`
	}{}
	_ = json.Unmarshal(o["kubernetes.io"], &namespace) // the server has written it
	o.set("sub", "system:serviceaccount:"+namespace.Namespace+":"+name)
	o.bind("serviceaccount", name)
}

// bind has the claims name an object with a UID that no object has. An empty name leaves the name as it is.
func (o object) bind(kind, name string) {
	objects := map[string]any{}
	_ = json.Unmarshal(o["kubernetes.io"], &objects) // the server has written it
	bound, ok := objects[kind].(map[string]any)
	if !ok {
		bound = map[string]any{}
	}
	if name != "" {
		bound["name"] = name
	}
	bound["uid"] = "00000000-0000-4000-8000-000000000000"
	objects[kind] = bound
	o.set("kubernetes.io", objects)
}

// claims is a forgery whose claims are changed and signed with the server's key.
func claims(change func(object, *token)) func(*token, context.Context) (string, error) {
	return func(t *token, ctx context.Context) (string, error) {
		c, err := decode(t.payload)
		if err != nil {
			return "", err
		}
		change(c, t)
		data, err := json.Marshal(c)
		if err != nil {
			return "", err
		}
		var end int64
		_ = json.Unmarshal(c["exp"], &end) // a kind may have removed it
		return t.forger.Sign(ctx, "", data, time.Unix(end, 0))
	}
}

// appended is a forgery with a second claim about the audience at the end, signed with the server's key. The good audience is in the
// first one, or else in the second.
func appended(name string, goodFirst bool) func(*token, context.Context) (string, error) {
	return func(t *token, ctx context.Context) (string, error) {
		c, err := decode(t.payload)
		if err != nil {
			return "", err
		}
		other := json.RawMessage(`["another-audience"]`)
		last := other
		if !goodFirst {
			last, c["aud"] = c["aud"], other
		}
		data, err := json.Marshal(c)
		if err != nil {
			return "", err
		}
		data = fmt.Appendf(data[:len(data)-1], ",%q:%s}", name, last)
		var end int64
		_ = json.Unmarshal(c["exp"], &end) // the server has written it
		return t.forger.Sign(ctx, "", data, time.Unix(end, 0))
	}
}

// bound is a forgery that is bound to an object which does not exist. An empty name leaves the name as it is.
func bound(kind, name string) func(*token, context.Context) (string, error) {
	return claims(func(c object, _ *token) { c.bind(kind, name) })
}
