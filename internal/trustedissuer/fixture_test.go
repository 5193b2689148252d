package trustedissuer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

// TestMain keeps the log out of the results.
func TestMain(m *testing.M) {
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	m.Run()
}

const (
	theURL  = "https://cluster.example"
	ourOwn  = "https://own.example"
	ourAPI  = "api"
	hour    = time.Hour
	account = "system:serviceaccount:shop:cart"
)

// stranger is an issuer elsewhere: it has keys, publishes some of them, and signs.
type stranger struct {
	url string

	mu      sync.Mutex
	signer  jose.JSONWebKey
	keys    []jose.JSONWebKey
	answers map[string]func(*http.Request) (*http.Response, error) // by path, in place of the documents
	asked   map[string]int                                         // by path
	after   time.Duration                                          // how long an answer takes
}

func newStranger(t *testing.T, url string) *stranger {
	s := &stranger{url: url, answers: map[string]func(*http.Request) (*http.Response, error){}, asked: map[string]int{}}
	s.rotate(t, "first")
	return s
}

// rotate has the stranger sign with a new key, and publish no other.
func (s *stranger) rotate(t *testing.T, id string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.set(func() {
		s.signer = jose.JSONWebKey{Key: private, KeyID: id, Algorithm: "ES256", Use: "sig"}
		s.keys = []jose.JSONWebKey{s.signer.Public()}
	})
}

func (s *stranger) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *stranger) reads(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// jwks is the published key set.
func (s *stranger) jwks(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: s.keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Do answers a request for a document.
func (s *stranger) Do(request *http.Request) (*http.Response, error) {
	path := request.URL.Path
	s.mu.Lock()
	s.asked[path]++
	answer, keys, after := s.answers[path], s.keys, s.after
	s.mu.Unlock()
	if after > 0 {
		select {
		case <-time.After(after):
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
	switch {
	case answer != nil:
		return answer(request)
	case path == wellKnown:
		return documentOf(map[string]any{"issuer": s.url, "jwks_uri": s.url + "/keys"})
	case path == "/keys":
		return documentOf(jose.JSONWebKeySet{Keys: keys})
	}
	return nil, errors.New("nothing is there")
}

// CloseIdleConnections has none to close.
func (*stranger) CloseIdleConnections() {}

func documentOf(value any) (*http.Response, error) {
	text, err := json.Marshal(value)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(text))}, err
}

func textOf(status int, text string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// sign signs claims, with further members of the header.
func (s *stranger) sign(t *testing.T, claims map[string]any, header map[jose.HeaderKey]any) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.signer}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// token signs the claims of a service account token of the shop's cart for the vault, but for what changes say.
func (s *stranger) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": s.url, "aud": []string{"vault"}, "sub": account, "jti": "id1",
		"exp": now.Add(hour).Unix(), "iat": now.Unix(), "nbf": now.Unix(),
		"kubernetes.io": map[string]any{
			"namespace": "shop", "serviceaccount": map[string]any{"name": "cart", "uid": "u1"},
			"pod": map[string]any{"name": "cart-1", "uid": "p1"}, "node": map[string]any{"name": "n1", "uid": "nu1"},
		},
	}
	maps.Copy(claims, changes)
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	return s.sign(t, claims, nil)
}

// world has issuers that read documents from strangers, by host.
type world struct {
	*Issuers
	strangers map[string]*stranger
}

func newWorld(t *testing.T, cfg Config, strangers ...*stranger) *world {
	w := &world{strangers: map[string]*stranger{}}
	for _, s := range strangers {
		w.strangers[s.url] = s
	}
	cfg.APIAudiences, cfg.OwnIssuers = authenticator.Audiences{ourAPI}, []string{ourOwn}
	cfg.Client = func(of *v1alpha1.TrustedIssuer) (Client, error) {
		if s, ok := w.strangers[of.Spec.URL]; ok {
			return s, nil
		}
		return nil, errors.New("nobody is there")
	}
	w.Issuers = New(cfg)
	t.Cleanup(w.Close)
	return w
}

// put stores an object for a stranger, for tokens of a cluster for the vault, but for what change says.
func (w *world) put(name, url string, change func(*v1alpha1.TrustedIssuerSpec)) *v1alpha1.TrustedIssuer {
	object := &v1alpha1.TrustedIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)},
		Spec:       v1alpha1.TrustedIssuerSpec{URL: url, Audiences: []string{"vault"}, Kubernetes: &v1alpha1.KubernetesTokens{Prefix: "east:"}},
	}
	if change != nil {
		change(&object.Spec)
	}
	w.change(view.Key{Name: name}, object)
	return object
}

func (w *world) remove(name string) { w.change(view.Key{Name: name}, nil) }

// ask asks whose a token is, for audiences.
func (w *world) ask(token string, audiences ...string) (*authenticator.Response, error) {
	ctx := context.Background()
	if len(audiences) > 0 {
		ctx = authenticator.WithAudiences(ctx, audiences)
	}
	return w.Explain(ctx, token, nil)
}

// name returns the name of the user of a token for the vault, or the reason code of the refusal.
func (w *world) name(token string) string {
	response, err := w.ask(token, "vault")
	if err != nil {
		return reason.Of(err).String()
	}
	return response.User.GetName()
}
