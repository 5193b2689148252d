package trustedissuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/outbound"
)

// certificate returns a serving certificate for 127.0.0.1 that ends at a time, and itself as PEM.
func certificate(t *testing.T, end time.Time) (tls.Certificate, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: end.Add(-48 * hour), NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// The caller hangs up on it.
func tenMegabytes(w http.ResponseWriter, keys []byte) {
	_, _ = w.Write(append(keys, make([]byte, 10<<20)...))
}

func redirected(w http.ResponseWriter, _ []byte) {
	w.Header().Set("Location", "/keys")
	w.WriteHeader(http.StatusFound)
}

// TestFaultsOverTheNetwork: what goes wrong between this server and an issuer is told in the status, costs tokens of another issuer
// nothing, and is no reason to read more than the bound.
func TestFaultsOverTheNetwork(t *testing.T) {
	quick := newStranger(t, "https://quick.example")
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, test := range map[string]struct {
		end     time.Duration
		handler func(w http.ResponseWriter, keys []byte)
		allowed []netip.Prefix
		want    string // of the failure
	}{
		"well":                   {end: hour, allowed: loopback},
		"a certificate expired":  {end: -hour, allowed: loopback, want: "certificate has expired"},
		"an address of our own":  {end: hour, want: "--allow-private-issuers"},
		"a key set of ten MB":    {end: hour, allowed: loopback, want: "more than 1048576 bytes", handler: tenMegabytes},
		"an endless redirection": {end: hour, allowed: loopback, want: "the server answers 302", handler: redirected},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t, "")
			keys, err := json.Marshal(jose.JSONWebKeySet{Keys: s.keys})
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == wellKnown:
					_ = json.NewEncoder(w).Encode(map[string]any{"issuer": s.url, "jwks_uri": s.url + "/keys"}) // the caller hung up
				case test.handler != nil:
					test.handler(w, keys)
				default:
					_, _ = w.Write(keys) // the caller hung up
				}
			}))
			serving, authority := certificate(t, time.Now().Add(test.end))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{serving}, MinVersion: tls.VersionTLS12}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			s.url = server.URL
			w := newWorld(t, Config{}, quick)
			calls, known := outbound.NewObjectCalls(test.allowed), w.Config.Client
			w.Config.Client = func(of *v1alpha1.TrustedIssuer) (Client, error) {
				if of.Spec.URL == s.url {
					return calls.NewClient(outbound.ObjectClient{Authorities: of.Spec.CertificateAuthority})
				}
				return known(of)
			}
			w.put("faulty", s.url, func(spec *v1alpha1.TrustedIssuerSpec) { spec.CertificateAuthority = authority })
			w.put("quick", quick.url, nil)
			want := good
			if test.want != "" {
				want = "IssuerUnavailable"
			}
			if got := w.name(s.token(t, nil)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			facts, _ := w.Facts("faulty")
			if test.want != "" && (facts.Failure == nil || !strings.Contains(facts.Failure.Error(), test.want)) || test.want == "" && facts.Failure != nil {
				t.Errorf("the status says: %v", facts.Failure)
			}
			if got := w.name(quick.token(t, nil)); got != good {
				t.Errorf("another issuer's token: %s", got)
			}
		})
	}
}
