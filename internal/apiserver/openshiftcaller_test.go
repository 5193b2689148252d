package apiserver_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/internal/testserver"
)

// kubeAPIServerOfOpenShift is the common name of the certificate with which that one calls.
const kubeAPIServerOfOpenShift = "system:serviceaccount:openshift-oauth-apiserver:openshift-authenticator"

// connection is that of the holder of a certificate.
func (a authority) connection(s *testserver.Server, name string) *rest.Config {
	a.t.Helper()
	pair := a.client(name)
	key, err := keyutil.MarshalPrivateKeyToPEM(pair.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	return &rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{
		CAData: s.RootCAs, CertData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), KeyData: key,
	}}
}

// TestOpenShiftCallerIsACertificate: by a certificate of its name a kube-apiserver of OpenShift may have opaque tokens
// reviewed. By the same name from anywhere else nobody may.
func TestOpenShiftCallerIsACertificate(t *testing.T) {
	t.Parallel()
	clients, proxies, dir := newAuthority(t, "clients"), newAuthority(t, "proxies"), t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := testserver.Start(t, "--controllers=", "--openshift-api", "--client-ca-file="+file("clients.crt", clients.pem()),
		"--requestheader-client-ca-file="+file("proxies.crt", proxies.pem()), "--requestheader-username-headers=X-Remote-User",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--token-auth-file="+file("tokens.csv", []byte("static-token,"+kubeAPIServerOfOpenShift+",1\n")))
	admin := s.Caller(s.AdminConfig())
	admin.Run(
		testserver.Step{Request: "POST /api/v1/namespaces", Body: "metadata: {name: openshift-oauth-apiserver}", Status: 201},
		testserver.Step{Request: "POST /api/v1/namespaces/openshift-oauth-apiserver/serviceaccounts", Body: "metadata: {name: openshift-authenticator}", Status: 201},
	)
	issued, err := s.Admin().CoreV1().ServiceAccounts("openshift-oauth-apiserver").CreateToken(t.Context(), "openshift-authenticator",
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const credentialID = "Extra-Authentication.kubernetes.io%2fcredential-Id: X509SHA256=00"
	for name, test := range map[string]struct {
		caller  testserver.Caller
		headers []string
		want    int
	}{
		"a certificate":        {s.Caller(clients.connection(s, kubeAPIServerOfOpenShift)), nil, 201},
		"another certificate":  {s.Caller(clients.connection(s, kubeAPIServerOfOpenShift+"2")), nil, 403},
		"a service account":    {s.Caller(s.TokenConfig(issued.Status.Token)), nil, 403},
		"a static token":       {s.Caller(s.TokenConfig("static-token")), nil, 403},
		"impersonation":        {admin, []string{"Impersonate-User: " + kubeAPIServerOfOpenShift}, 403},
		"impersonation, extra": {admin, []string{"Impersonate-User: " + kubeAPIServerOfOpenShift, "Impersonate-" + credentialID}, 403},
		"a request header":     {s.Caller(proxies.connection(s, "proxy")), []string{"X-Remote-User: " + kubeAPIServerOfOpenShift, "X-Remote-" + credentialID}, 403},
	} {
		// The second time a certificate is remembered; curl's requests are not for the fast path.
		for _, headers := range [][]string{nil, nil, {"User-Agent: curl/8"}} {
			_, status := test.caller.Do(oauthReviews, "{spec: {token: sha256~nope}}", append(headers, test.headers...)...)
			if status != test.want {
				t.Errorf("%s %v: status %d, want %d", name, headers, status, test.want)
			}
		}
	}
}
