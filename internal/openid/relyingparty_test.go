package openid_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestRelyingParty has another's OpenID Connect library discover a running server, and verify a token of each algorithm
// with what it found.
func TestRelyingParty(t *testing.T) {
	ec := func(curve elliptic.Curve) func() (crypto.Signer, error) {
		return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
	}
	for algorithm, generate := range map[string]func() (crypto.Signer, error){
		"ES256": ec(elliptic.P256()),
		"ES384": ec(elliptic.P384()),
		"ES512": ec(elliptic.P521()),
		"RS256": func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	} {
		t.Run(algorithm, func(t *testing.T) {
			key, err := generate()
			if err != nil {
				t.Fatal(err)
			}
			server := testserver.Start(t, "--service-account-signing-key-file="+writeKey(t, key))
			ctx := oidc.ClientContext(t.Context(), trusting(t, server))
			provider, err := oidc.NewProvider(ctx, server.URL)
			if err != nil {
				t.Fatal(err)
			}
			var document struct {
				Algorithms []string `json:"id_token_signing_alg_values_supported"`
			}
			if err := provider.Claims(&document); err != nil {
				t.Fatal(err)
			}
			if len(document.Algorithms) != 1 || document.Algorithms[0] != algorithm {
				t.Errorf("the discovery document names the algorithms %q", document.Algorithms)
			}
			checkToken(ctx, t, provider, server)
		})
	}
}

// checkToken gets a token from the server and has the provider verify it: for its audience, and not for others.
func checkToken(ctx context.Context, t *testing.T, provider *oidc.Provider, server *testserver.Server) {
	t.Helper()
	accounts := server.Admin().CoreV1().ServiceAccounts("default")
	account, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request, err := accounts.CreateToken(ctx, "app", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"relying-party", "another"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token := request.Status.Token
	verified, err := provider.Verifier(&oidc.Config{ClientID: "relying-party"}).Verify(ctx, token)
	if err != nil {
		t.Fatalf("a good token is refused: %v", err)
	}
	var claims struct {
		Kubernetes struct {
			Namespace      string
			ServiceAccount struct{ Name, UID string }
		} `json:"kubernetes.io"`
	}
	if err := verified.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	k := claims.Kubernetes
	if verified.Subject != "system:serviceaccount:default:app" || verified.Issuer != server.URL || k.Namespace != "default" ||
		k.ServiceAccount.Name != "app" || k.ServiceAccount.UID != string(account.UID) {
		t.Errorf("subject %q, issuer %q, kubernetes.io %+v", verified.Subject, verified.Issuer, k)
	}
	if end := request.Status.ExpirationTimestamp.Time; verified.Expiry.Before(end) || verified.Expiry.Sub(end) > time.Second {
		t.Errorf("it ends at %v; the answer said %v", verified.Expiry, end)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "somebody else"}).Verify(ctx, token); err == nil {
		t.Error("the token is accepted for another audience")
	}
	parts := strings.Split(token, ".")
	if _, err := provider.Verifier(&oidc.Config{ClientID: "relying-party"}).Verify(ctx, parts[0]+"."+parts[1]+"."+strings.Repeat("A", len(parts[2]))); err == nil {
		t.Error("the token is accepted with another signature")
	}
}

func writeKey(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// trusting is a client without credentials that knows the server's authority.
func trusting(t *testing.T, server *testserver.Server) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(server.RootCAs) {
		t.Fatal("the server's authority is no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestServed reads the documents as a stranger reads them from a whole server: that sends other headers with everything
// else.
func TestServed(t *testing.T) {
	server := testserver.Start(t, "--service-account-jwks-uri=https://keys.example/jwks", "--service-account-issuer=https://issuer.example/tenant", "--service-account-issuer=https://old.example")
	client := trusting(t, server)
	for _, test := range []struct {
		path, accept, mediaType string
		status                  int
	}{
		{configurationPath, "", "application/json", http.StatusOK},
		{keySetPath, "", "application/jwk-set+json", http.StatusOK},
		{keySetPath, "application/json", "application/json", http.StatusOK},
		{keySetPath, "application/*", "application/jwk-set+json", http.StatusOK},
		{keySetPath, "application/jwk-set+json;q=0", "", http.StatusNotAcceptable},
		{configurationPath, "application/jwk-set+json", "", http.StatusNotAcceptable},
		{"/tenant" + configurationPath, "", "", http.StatusForbidden}, // somebody else serves it there
	} {
		response := fetch(t, client, server.URL+test.path, test.accept)
		if response.status != test.status {
			t.Errorf("%s, Accept %q: status %d, want %d", test.path, test.accept, response.status, test.status)
		}
		if test.status == http.StatusOK {
			checkHeaders(t, response, test.mediaType)
		}
		if test.path == configurationPath && test.status == http.StatusOK &&
			!strings.HasPrefix(response.body, `{"issuer":"https://issuer.example/tenant","jwks_uri":"https://keys.example/jwks",`) {
			t.Errorf("the configuration is %s", response.body)
		}
	}
}

// TestNotServed: an issuer at which nobody could look is good for tokens, and has no documents.
func TestNotServed(t *testing.T) {
	server := testserver.Start(t, "--service-account-issuer=http://issuer.example")
	client := trusting(t, server)
	for _, path := range []string{configurationPath, keySetPath} {
		if response := fetch(t, client, server.URL+path, ""); response.status != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, response.status)
		}
	}
	accounts := server.Admin().CoreV1().ServiceAccounts("default")
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	request, err := accounts.CreateToken(t.Context(), "app", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	review, err := server.Admin().AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: request.Status.Token},
	}, metav1.CreateOptions{})
	if err != nil || !review.Status.Authenticated {
		t.Errorf("its token is not accepted: %q, %v", review.Status.Error, err)
	}
}
