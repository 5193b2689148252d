package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
)

func TestMeets(t *testing.T) {
	plain := &Target{}
	rich := &Target{SigningKey: &ecdsa.PrivateKey{}, Needs: sets.New(NeedsYoungServer)}
	for need, want := range map[string][2]bool{
		"": {true, true}, NeedsSigningKey: {false, true}, NeedsYoungServer: {false, true}, NeedsIdleLimit: {false, false},
	} {
		sc := &Scenario{Needs: need}
		if got := [2]bool{plain.Meets(sc), rich.Meets(sc)}; got != want {
			t.Errorf("%s: got %v", need, got)
		}
	}
}

// writeCertificate writes NAME.crt and NAME.key, self-signed.
func writeCertificate(t *testing.T, folder, name string) {
	t.Helper()
	key := newKey(t, elliptic.P256())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(folder, name+".crt"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	writeKey(t, folder, name, key)
}

// A certificate is presented though the server names other authorities, and it comes without a bearer token unless the
// step says so.
func TestClientCertificates(t *testing.T) {
	folder := t.TempDir()
	writeCertificate(t, folder, "bob")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := ""
		for _, cert := range r.TLS.PeerCertificates {
			name = cert.Subject.CommonName
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"name": name, "authorization": r.Header["Authorization"], "group": r.Header["Group"], "type": r.Header["Content-Type"],
		})
	}))
	authorities := x509.NewCertPool()
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, ClientCAs: authorities, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	authorities.AddCert(server.Certificate())

	target := newTarget(server)
	target.Files = folder
	s := newSession(target)
	defer s.close(t.Context())
	for want, st := range map[string]*Step{
		`{"authorization":null,"group":["x","y"],"name":"bob","type":null}`:                            {Cert: "bob", Headers: map[string]string{"Group": "x\ny"}},
		`{"authorization":["Bearer alice-secret"],"group":null,"name":"bob","type":null}`:              {Cert: "bob", As: "alice"},
		`{"authorization":["Bearer admin-secret"],"group":null,"name":"","type":["application/json"]}`: {Body: []byte(`{}`)},
		`{"authorization":null,"group":null,"name":"","type":null}`:                                    {BodyBase64: "AA==", As: "anonymous", Headers: map[string]string{"Content-Type": ""}},
	} {
		st.Method, st.Path = "POST", "/"
		a, err := s.do(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(a.raw)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if _, err := s.do(t.Context(), &Step{Method: "GET", Path: "/", Cert: "eve"}); err == nil {
		t.Error("a missing certificate went unnoticed")
	}
}
