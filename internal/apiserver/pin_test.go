package apiserver_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/util/cert"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestServerSendsItsAuthority: a client that knows nothing but the hash of the authority's key finds the authority in what the server
// sends, before it has sent anything itself, and can verify the server by it. Of an operator's certificate the server sends what
// the file holds, and nothing else.
func TestServerSendsItsAuthority(t *testing.T) {
	t.Parallel()
	s := testserver.Start(t, "--controllers=")
	own, err := cert.CertsFromFile(filepath.Join(s.DataDir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pin := sha256.Sum256(own[0].RawSubjectPublicKeyInfo)
	sent := sentBy(t, s)
	roots := x509.NewCertPool()
	for _, certificate := range sent[1:] {
		if certificate.IsCA && sha256.Sum256(certificate.RawSubjectPublicKeyInfo) == pin {
			roots.AddCert(certificate)
		}
	}
	if _, err := sent[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1"}); err != nil {
		t.Error(err)
	}

	operators, dir := newAuthority(t, "operators"), t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	operators.serverFiles(certFile, keyFile, "tokens.example")
	whole, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(certFile, bytes.TrimSuffix(whole, operators.pem()), 0o600); err != nil {
		t.Fatal(err)
	}
	s = testserver.Start(t, "--controllers=", "--tls-cert-file="+certFile, "--tls-private-key-file="+keyFile)
	if sent := sentBy(t, s); len(sent) != 1 || sent[0].Subject.CommonName != "tokens.example" {
		t.Errorf("%d certificates of an operator's file with one", len(sent))
	}
}

// sentBy returns the certificates that a server sends in the handshake.
func sentBy(t *testing.T, s *testserver.Server) []*x509.Certificate {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	connection, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates
}
