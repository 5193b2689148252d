package livecheck_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/livecheck"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

// TestMain keeps the log out of the results.
func TestMain(m *testing.M) {
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	m.Run()
}

// secrets are stored secrets, and those that watch them.
type secrets struct {
	mu       sync.Mutex
	all      map[view.Key]*corev1.Secret
	handlers []view.Handler
	reads    int
	err      error
}

func (s *secrets) Object(_ context.Context, namespace, name string) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.err != nil {
		return nil, s.err
	}
	if secret, ok := s.all[view.Key{Namespace: namespace, Name: name}]; ok {
		return secret, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
}

func (s *secrets) OnChange(h view.Handler) { s.handlers = append(s.handlers, h) }

// put stores a kubeconfig; without text the secret goes.
func (s *secrets) put(name, kubeconfig string) {
	key := view.Key{Namespace: "clusters", Name: name}
	s.mu.Lock()
	if s.all == nil {
		s.all = map[view.Key]*corev1.Secret{}
	}
	delete(s.all, key)
	if kubeconfig != "" {
		s.all[key] = &corev1.Secret{Data: map[string][]byte{"kubeconfig": []byte(kubeconfig)}}
	}
	secret := s.all[key]
	s.mu.Unlock()
	for _, h := range s.handlers {
		h(key, secret)
	}
}

// kubeconfig returns a kubeconfig with a token for a server.
func kubeconfig(server, token string, authority []byte) string {
	return `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], ` +
		`clusters: [{name: c, cluster: {server: '` + server + `', certificate-authority-data: ` + base64.StdEncoding.EncodeToString(authority) + `}}], ` +
		`users: [{name: u, user: {token: ` + token + `}}]}`
}

// issuer is a TrustedIssuer of a cluster with a prefix, with a live check by the secret of that name.
func issuer(name string, staleness time.Duration, onFailure v1alpha1.LiveCheckFailurePolicy) *v1alpha1.TrustedIssuer {
	return &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TrustedIssuerSpec{
		Kubernetes: &v1alpha1.KubernetesTokens{Prefix: "east:"},
		LiveCheck: &v1alpha1.LiveCheck{
			KubeconfigSecret: v1alpha1.SecretReference{Namespace: "clusters", Name: name},
			MaxStaleness:     &metav1.Duration{Duration: staleness}, OnFailure: onFailure,
		},
	}}
}

const (
	account = "system:serviceaccount:default:app"
	// token is long enough to be looked for in texts.
	token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhcHAifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
)

// verified is the local verdict about the token.
func verified() *authenticator.Response {
	return &authenticator.Response{Audiences: asked, User: &user.DefaultInfo{Name: "east:" + account, UID: "u1", Groups: []string{"east:system:serviceaccounts"}}}
}

var asked = authenticator.Audiences{"vault", "api"}

// status is the answer of a cluster that knows the token.
func status() authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: account, UID: "u1"}, Audiences: []string{"api", "vault"}}
}

// review is a TokenReview with a status.
func review(status authenticationv1.TokenReviewStatus) string {
	text, _ := json.Marshal(&authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}, Status: status,
	})
	return string(text)
}

// answers is a handler with one answer.
func answers(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// authority returns the certificate of a server in PEM.
func authority(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// newChecker returns a checker that may call loopback, and its secrets.
func newChecker() (*livecheck.Checker, *secrets) {
	stored := &secrets{}
	calls := outbound.NewObjectCalls([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	return livecheck.New(livecheck.Config{Secrets: stored, Calls: calls}), stored
}

// confirm asks about the token.
func confirm(ctx context.Context, c *livecheck.Checker, of *v1alpha1.TrustedIssuer) (*authenticator.Response, error) {
	return c.Confirm(ctx, of, token, asked, verified(), nil)
}

// codeOf is the reason code of an error, and whether it says that there is no verdict.
func codeOf(err error) (code reason.Code, unavailable bool) {
	_, unavailable = errors.AsType[interface {
		error
		Unavailable()
	}](err)
	return reason.Of(err), unavailable
}

// roundTripper is a transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// respond returns an answer with a status.
func respond(r *http.Request, status authenticationv1.TokenReviewStatus) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusCreated, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(review(status))), Request: r}, nil
}
