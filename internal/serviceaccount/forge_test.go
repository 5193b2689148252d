package serviceaccount_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/serviceaccount"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/teststore"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// What the server of these tests accepts: tokens of two issuers for two audiences.
const (
	issuer      = "https://issuer.example"
	otherIssuer = "https://old.example"
	username    = "system:serviceaccount:ns:app"
)

var audiences = authenticator.Audiences{"api", "other"}

// now is what the clock of these tests says: within a second, since a bound must hold there too.
var now = time.Date(2026, 5, 4, 3, 2, 1, 500, time.UTC)

// Refusals as status.error shows them.
const (
	// notOurs is what a token gets that can't be read as a service account token at all.
	notOurs      = "invalid bearer token"
	badSignature = "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]"
	noKey        = "[invalid bearer token, invalid signature, no keys found]"
	badDate      = "[invalid bearer token, go-jose/go-jose/jwt: expected number value to unmarshal NumericDate]"
	badAudience  = "[invalid bearer token, go-jose/go-jose/jwt: expected string or array value to unmarshal to Audience]"
	// accepted is no refusal.
	accepted = ""
)

// refused is the error of a token that one of our keys has signed and that is not good.
func refused(reason string) string { return "[invalid bearer token, " + reason + "]" }

// row is a token and what a review says of it.
type row struct {
	name, token, want string
}

// key is a private key, and what tokens call it.
type key struct {
	crypto.Signer
	id string
}

// keyring holds the keys that the server accepts, by name, and one that it doesn't.
var keyring = sync.OnceValue(func() map[string]key {
	keys := map[string]key{}
	add := func(name string, made crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		id, err := signingkey.KeyID(made.Public())
		if err != nil {
			panic(err)
		}
		keys[name] = key{made, id}
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		made, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(curve.Params().Name, made, err)
	}
	made, err := rsa.GenerateKey(rand.Reader, 2048)
	add("RSA", made, err)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	add("stranger", stranger, err)
	return keys
})

// server is all that decides about a token under review.
type server struct {
	revoked  authn.Revocations
	t        testing.TB
	store    *teststore.Store
	reviewer *tokenreview.Reviewer
	// clock is what the server takes the time to be.
	clock time.Time
	// used are the secrets that were marked as used.
	used []string
	// warned are the warnings that came with the last token whose notes were asked for.
	warned []string
}

// newServer returns a server with the service account ns/app of UID u1. The options change its configuration.
func newServer(t testing.TB, options ...func(*serviceaccount.Config)) *server {
	t.Helper()
	s := &server{t: t, store: teststore.New(t), clock: now}
	s.store.Put(teststore.Account("ns", "app", "u1"))
	s.configure(options...)
	return s
}

// ring returns keys that never change.
func ring(t testing.TB, public ...crypto.PublicKey) *signingkey.Ring {
	t.Helper()
	source, err := signingkey.NewStatic(nil, public)
	if err != nil {
		t.Fatal(err)
	}
	return signingkey.NewRing(source, nil)
}

// configure replaces the authenticators, over the same objects.
func (s *server) configure(options ...func(*serviceaccount.Config)) {
	s.t.Helper()
	var public []crypto.PublicKey
	for _, name := range []string{"P-256", "P-384", "P-521", "RSA"} {
		public = append(public, keyring()[name].Public())
	}
	cfg := serviceaccount.Config{
		Issuers:      []string{issuer, otherIssuer},
		APIAudiences: audiences,
		Keys:         ring(s.t, public...),
		Index:        s.store.Index,
		LegacyLookup: true,
		MarkUsed: func(_ context.Context, namespace, name, uid, day string) error {
			s.used = append(s.used, strings.Join([]string{namespace, name, uid, day}, " "))
			return nil
		},
		Now: func() time.Time { return s.clock },
	}
	for _, option := range options {
		option(&cfg)
	}
	union, err := authn.New(authn.Config{APIAudiences: cfg.APIAudiences, ServiceAccounts: serviceaccount.New(cfg), Revocations: s.revoked})
	if err != nil {
		s.t.Fatal(err)
	}
	s.reviewer = tokenreview.New(tokenreview.Config{Authenticator: union.Tokens, APIAudiences: cfg.APIAudiences})
}

// review returns what a TokenReview says of a token. A TokenExplanation must say the same.
func (s *server) review(token string, asked ...string) authenticationv1.TokenReviewStatus {
	s.t.Helper()
	status := s.reviewOnly(token, asked...)
	s.explain(token, asked, status)
	return status
}

// reviewOnly returns what a TokenReview says of a token.
func (s *server) reviewOnly(token string, asked ...string) authenticationv1.TokenReviewStatus {
	s.t.Helper()
	status, err := s.reviewer.Review(context.Background(), &authenticationv1.TokenReviewSpec{Token: token, Audiences: asked})
	if err != nil {
		s.t.Fatalf("no verdict: %v", err)
	}
	return status
}

// check compares a verdict with the wanted refusal. The second review finds the signature in the cache, if it was good,
// and must come to the same verdict.
func (s *server) check(t *testing.T, r row, asked ...string) {
	t.Helper()
	for _, turn := range []string{"first", "second"} {
		got := s.review(r.token, asked...)
		if got.Error != r.want {
			t.Errorf("%s review: error %q, want %q", turn, got.Error, r.want)
		}
		if got.Authenticated != (r.want == accepted) {
			t.Errorf("%s review: authenticated is %t", turn, got.Authenticated)
		}
		user := ""
		if r.want == accepted {
			user = username
		}
		if got.User.Username != user {
			t.Errorf("%s review: user %q, want %q", turn, got.User.Username, user)
		}
		if r.want != accepted {
			nothing := authenticationv1.TokenReviewStatus{Error: got.Error}
			if diff := cmp.Diff(nothing, got); diff != "" {
				t.Errorf("%s review: a refusal says more than its reason (-want +got):\n%s", turn, diff)
			}
		}
	}
}

// member is a name and a JSON value. An empty value leaves the member out.
type member struct{ name, value string }

// object writes JSON. Nothing keeps a name from standing in it twice.
func object(members ...member) string {
	var b strings.Builder
	for _, m := range members {
		if m.value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", m.name, m.value)
	}
	return "{" + b.String() + "}"
}

// goodClaims are those of a token for ns/app, with some of them changed.
func goodClaims(changes ...member) string {
	members := []member{
		{"aud", `["api"]`},
		{"exp", fmt.Sprint(now.Unix() + 600)},
		{"iat", fmt.Sprint(now.Unix())},
		{"iss", `"` + issuer + `"`},
		{"jti", `"8a3a"`},
		{"kubernetes.io", boundTo()},
		{"nbf", fmt.Sprint(now.Unix())},
		{"sub", `"` + username + `"`},
	}
	return object(change(members, changes)...)
}

// boundTo is the claim kubernetes.io of a token for ns/app, with some of its members changed.
func boundTo(changes ...member) string {
	return object(change([]member{{"namespace", `"ns"`}, {"serviceaccount", `{"name":"app","uid":"u1"}`}}, changes)...)
}

// change replaces the members of the same names. Others come at the end.
func change(members, changes []member) []member {
next:
	for _, c := range changes {
		for i := range members {
			if members[i].name == c.name {
				members[i].value = c.value
				continue next
			}
		}
		members = append(members, c)
	}
	return members
}

// usualAlgorithm is what a key of this name signs with.
func usualAlgorithm(name string) string {
	return map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "RSA": "RS256", "stranger": "ES256"}[name]
}

// goodHeader is the header of a token that the named key signs.
func goodHeader(name string) string {
	return object(member{"alg", `"` + usualAlgorithm(name) + `"`}, member{"kid", `"` + keyring()[name].id + `"`})
}

// sealed is a token that the named key has signed in its usual way.
func sealed(name, header, claims string) string {
	signed := encode(header) + "." + encode(claims)
	return signed + "." + encode(string(signature(name, usualAlgorithm(name), signed)))
}

// issued is a good token but for its claims.
func issued(claims string) string { return sealed("P-256", goodHeader("P-256"), claims) }

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// signature signs with the named key as well as that key can by that algorithm: a forger has no better way.
func signature(name, algorithm, signed string) []byte {
	hashed, family := digest(algorithm, signed)
	switch private := keyring()[name].Signer.(type) {
	case *rsa.PrivateKey:
		var options crypto.SignerOpts = hashed.kind
		if family == "PS" {
			options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hashed.kind}
		}
		made, err := private.Sign(rand.Reader, hashed.sum, options)
		if err != nil {
			panic(err)
		}
		return made
	case *ecdsa.PrivateKey:
		size := max((private.Params().BitSize+7)/8, map[string]int{"ES256": 32, "ES384": 48, "ES512": 66}[algorithm])
		return rawSignature(private, hashed.sum, size)
	}
	panic("no such key: " + name)
}

// rawSignature is r and s side by side, each in size bytes.
func rawSignature(private *ecdsa.PrivateKey, sum []byte, size int) []byte {
	r, s, err := ecdsa.Sign(rand.Reader, private, sum)
	if err != nil {
		panic(err)
	}
	made := make([]byte, 2*size)
	r.FillBytes(made[:size])
	s.FillBytes(made[size:])
	return made
}

type hashed struct {
	kind crypto.Hash
	sum  []byte
}

// digest hashes by the number in the name of an algorithm.
func digest(algorithm, signed string) (h hashed, family string) {
	var with hash.Hash
	switch {
	case strings.HasSuffix(algorithm, "384"):
		h.kind, with = crypto.SHA384, sha512.New384()
	case strings.HasSuffix(algorithm, "512"):
		h.kind, with = crypto.SHA512, sha512.New()
	default:
		h.kind, with = crypto.SHA256, sha256.New()
	}
	with.Write([]byte(signed))
	h.sum = with.Sum(nil)
	return h, strings.ToUpper(algorithm + "  ")[:2]
}

// mac signs by HMAC with a secret.
func mac(algorithm string, secret []byte, signed string) []byte {
	kinds := map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}
	with := hmac.New(kinds[algorithm], secret)
	with.Write([]byte(signed))
	return with.Sum(nil)
}

// published are the forms in which everybody has a public key, and might use it as a secret.
func published(name string) map[string][]byte {
	der, err := x509.MarshalPKIXPublicKey(keyring()[name].Public())
	if err != nil {
		panic(err)
	}
	armored := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return map[string][]byte{
		"DER":                 der,
		"PEM":                 armored,
		"PEM without newline": []byte(strings.TrimSpace(string(armored))),
		"key id":              []byte(keyring()[name].id),
		"nothing":             {},
	}
}

// quote writes a JSON string.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}
