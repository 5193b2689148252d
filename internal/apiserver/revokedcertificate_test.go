package apiserver_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

// withCertificate is the connection of the holder of a client certificate.
func withCertificate(t *testing.T, s *testserver.Server, pair tls.Certificate) *rest.Config {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(s.AdminConfig())
	config.CertData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	config.KeyData = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return config
}

// certificateDoors are requests by which the caller is told: over the fast path, past it, with an upgrade, and at each endpoint
// that has a handler of its own.
var certificateDoors = map[string]string{
	"review":                "POST " + reviewsPath,
	"review, generic chain": "POST " + reviewsPath + "?pretty=0",
	"TokenRequest":          "POST /api/v1/namespaces/default/serviceaccounts/default/token",
	"webhook":               "POST /authenticate",
	"object":                "GET /api/v1/namespaces/default",
	"discovery":             "GET /api",
	"issuer's document":     "GET /openid/v1/jwks",
	"revocation":            "POST /apis/mintmark.io/v1alpha1/tokenrevocations",
	"list of reviews":       "POST /apis/mintmark.io/v1alpha1/tokenreviewlists",
	"explanation":           "POST /apis/mintmark.io/v1alpha1/tokenexplanations",
	"certificate":           "POST /apis/certificates.k8s.io/v1/certificatesigningrequests",
}

// TestRevokedCertificate takes back the client certificates of a user, at a server that has seen them and remembers them. From then on
// they let nobody in at any door, open watches end, and the audit record says why. A proxy is believed no more when its own
// certificate is taken back. Those of other users go on.
func TestRevokedCertificate(t *testing.T) {
	t.Parallel()
	clients, proxies, dir := newAuthority(t, "clients"), newAuthority(t, "proxies"), t.TempDir()
	clientCA, proxyCA := filepath.Join(dir, "clients.crt"), filepath.Join(dir, "proxies.crt")
	for file, text := range map[string][]byte{clientCA: clients.pem(), proxyCA: proxies.pem()} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := startAudited(t, "--client-ca-file="+clientCA, "--requestheader-client-ca-file="+proxyCA,
		"--requestheader-allowed-names=proxy", "--requestheader-username-headers=X-Remote-User")
	admin := a.Caller(a.AdminConfig())
	admin.Run(testserver.Step{
		Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", Status: 201,
		Body: `{metadata: {name: people}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin},
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: vm1}, {apiGroup: rbac.authorization.k8s.io, kind: User, name: vm2}]}`,
	})
	vm1, vm2, proxy := clients.client("vm1"), clients.client("vm2"), proxies.client("proxy")
	config := withCertificate(t, a.Server, vm1)
	one, two := a.Caller(config), a.Caller(withCertificate(t, a.Server, vm2))
	show := func(caller testserver.Caller, refused bool, what string) {
		t.Helper()
		for door, request := range certificateDoors {
			if _, status := caller.Do(request, "{kind: TokenReview, apiVersion: authentication.k8s.io/v1, spec: {token: x}}"); (status == http.StatusUnauthorized) != refused {
				t.Errorf("%s, %s: status %d, want it refused: %t", what, door, status, refused)
			}
		}
	}
	asProxy := http.Header{"X-Remote-User": {"carol"}}
	show(one, false, "before")
	if got := whoami(t, a.Server, proxy, asProxy); got != "carol" {
		t.Errorf("the proxy's user is %s", got)
	}
	for _, ends := range []io.Reader{openWatch(t, config, a.URL, false), openWatch(t, config, a.URL, true)} {
		defer func() {
			if _, err := io.Copy(io.Discard, ends); err != nil && t.Context().Err() != nil {
				t.Errorf("the watch goes on: %v", err)
			}
		}()
	}
	lasting := openWatch(t, withCertificate(t, a.Server, vm2), a.URL, false)

	for _, user := range []string{"vm1", "proxy"} {
		admin.Run(testserver.Step{
			Request: "POST /apis/mintmark.io/v1alpha1/tokenrevocations", Status: 201,
			Body: "{spec: {clientCertificate: {username: " + user + "}, reason: a test}}", Want: "{status: {revokedBy: admin, expires: null}}",
		})
	}
	show(one, true, "taken back")
	show(two, false, "another user")
	if got := whoami(t, a.Server, proxy, asProxy); got != "error: Unauthorized" {
		t.Errorf("the proxy whose certificate was taken back is believed: %s", got)
	}
	for door, path := range reviewDoors {
		event, _ := a.post(config, path, reviewOf("x"), "revoked"+door)
		if event.ResponseStatus.Code != http.StatusUnauthorized || event.Annotations[reasonKey] != "Revoked" {
			t.Errorf("%s: audited with status %d, reason %q", door, event.ResponseStatus.Code, event.Annotations[reasonKey])
		}
	}
	admin.Run(testserver.Step{Request: "POST /api/v1/namespaces", Body: "{metadata: {name: later}}", Status: 201})
	if n, err := lasting.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the watch of another user has ended: %v", err)
	}
}

// openWatch opens a watch of namespaces that are made from now on, over HTTP/2 or as a WebSocket.
func openWatch(t *testing.T, config *rest.Config, url string, upgrade bool) io.Reader {
	t.Helper()
	config = rest.CopyConfig(config)
	if upgrade {
		config.NextProtos = []string{"http/1.1"}
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3Dlater", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	want := http.StatusOK
	if upgrade {
		want = http.StatusSwitchingProtocols
		request.Header = http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {url}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		}
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != want {
		t.Fatalf("status %d of a watch", response.StatusCode)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = response.Body.Close() })
	t.Cleanup(func() { timer.Stop() })
	return response.Body
}
