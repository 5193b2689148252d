package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
)

// provider is a small OpenID Connect provider: a discovery document, a key set, and tokens that it signs.
type provider struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	keys    []jose.JSONWebKey // public ones that are published
	signer  jose.JSONWebKey
	down    bool
	handler http.HandlerFunc // instead of the documents; nil for these
	asked   []*http.Request
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t}
	p.rotate("first")
	p.Server = httptest.NewTLSServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

// rotate has the provider sign with a new key and publish no other.
func (p *provider) rotate(id string) {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signer = jose.JSONWebKey{Key: key, KeyID: id, Algorithm: "ES256", Use: "sig"}
	p.keys = []jose.JSONWebKey{p.signer.Public()}
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) requests(path string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.asked {
		if r.URL.Path == path {
			n++
		}
	}
	return n
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Clone(context.Background()))
	down, handler, keys := p.down, p.handler, p.keys
	p.mu.Unlock()
	var document any
	switch {
	case down:
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	case handler != nil:
		handler(w, r)
		return
	case r.URL.Path == "/.well-known/openid-configuration":
		document = map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"}
	case r.URL.Path == "/keys":
		document = jose.JSONWebKeySet{Keys: keys}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // the caller hung up
}

// token signs the claims of a token that is good for an hour, but for what claims say.
func (p *provider) token(claims map[string]any) string {
	p.t.Helper()
	all := map[string]any{"iss": p.URL, "aud": "client", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	p.mu.Lock()
	defer p.mu.Unlock()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.signer}, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(all).Serialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

// configuration is an AuthenticationConfiguration for the providers; mappings follow each.
func configuration(mappings string, providers ...*provider) string {
	var text strings.Builder
	text.WriteString("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n")
	for _, p := range providers {
		authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
		text.WriteString("- issuer:\n    url: " + p.URL + "\n    audiences: [client]\n    certificateAuthority: |\n")
		for line := range strings.Lines(authority) {
			text.WriteString("      " + line)
		}
		text.WriteString(mappings)
	}
	return text.String()
}

const bySubject = `  claimMappings: {username: {claim: sub, prefix: "p:"}}
`

// waitUntil waits for what takes its time, on a machine with much else to do.
func waitUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func mustParse(t *testing.T, text string) *apiserver.AuthenticationConfiguration {
	t.Helper()
	cfg, err := parseConfiguration([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
