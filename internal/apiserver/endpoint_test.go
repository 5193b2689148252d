package apiserver_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/testserver"
)

// An IPv6 address in brackets is that address, in the issuer and in the certificate.
func TestExternalIPv6Address(t *testing.T) {
	t.Parallel()
	s := testserver.Start(t, "--controllers=", "--external-hostname=[2001:db8::1]")
	raw, err := s.As("").Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	issuer := "https://[2001:db8::1]:" + port
	if document.Issuer != issuer || document.JWKSURI != issuer+"/openid/v1/jwks" {
		t.Errorf("the documents name %+v, want the issuer %s", document, issuer)
	}
	file, err := os.ReadFile(filepath.Join(s.DataDir, "serving.crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := certificate.VerifyHostname("2001:db8::1"); err != nil {
		t.Error(err)
	}
}

// What keeps a server from starting is told with the flag that mends it.
func TestStartErrors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		flags []string
		want  string
	}{
		"a port in use":             {[]string{"--secure-port=" + port}, "another program listens on port " + port + " of 127.0.0.1: stop it, or name another port with --secure-port"},
		"an address of another":     {[]string{"--bind-address=192.0.2.1"}, "this machine has no address 192.0.2.1: name one of its own with --bind-address"},
		"an etcd that is not there": {[]string{"--etcd-servers=http://127.0.0.1:1"}, "no etcd answers at --etcd-servers (http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused)"},
	} {
		cfg, err := testserver.Config(t, test.flags...)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = apiserver.New(t.Context(), cfg)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: told after %v", name, took)
		}
	}
}

// TestPortSharing: with --permit-port-sharing two servers listen on one port, as for a start of the next version before the
// former one has stopped.
func TestPortSharing(t *testing.T) {
	t.Parallel()
	sharing := []string{"--controllers=", "--permit-port-sharing", "--permit-address-sharing"}
	first := testserver.Start(t, sharing...)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(first.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	if second := testserver.Start(t, append(sharing, "--secure-port="+port)...); second.URL != first.URL {
		t.Errorf("the second server is at %s, the first at %s", second.URL, first.URL)
	}
	cfg, err := testserver.Config(t, "--secure-port="+port)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apiserver.New(t.Context(), cfg); err == nil || !strings.HasPrefix(err.Error(), "another program listens on port "+port) {
		t.Errorf("a server that shares no port: %v", err)
	}
}
