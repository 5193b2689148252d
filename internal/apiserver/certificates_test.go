package apiserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/options"
	"github.com/mintmark/mintmark/internal/testserver"
)

// authority signs client certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	a := authority{t: t}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.make(template, nil)
	return a
}

// make signs a certificate, with its own key where there is no authority yet.
func (a authority) make(template, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a authority) client(name string) tls.Certificate {
	cert, key := a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// whoami is who the server takes the holder of a certificate for, with headers as a proxy would send them.
func whoami(t *testing.T, s *testserver.Server, pair tls.Certificate, headers http.Header) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.RootCAs)
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots, MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}}
	defer transport.CloseIdleConnections()
	client, err := kubernetes.NewForConfigAndClient(&rest.Config{Host: s.URL}, &http.Client{Transport: withHeaders{transport, headers}})
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "error: " + err.Error()
	}
	return review.Status.UserInfo.Username
}

type withHeaders struct {
	base    http.RoundTripper
	headers http.Header
}

func (w withHeaders) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range w.headers {
		r.Header[name] = values
	}
	return w.base.RoundTrip(r)
}

// The authorities of clients and of proxies may change while the server runs.
func TestAuthoritiesAreReadAgain(t *testing.T) {
	t.Parallel()
	first, second, proxies := newAuthority(t, "first"), newAuthority(t, "second"), newAuthority(t, "proxies")
	dir := t.TempDir()
	clientCA, proxyCA := filepath.Join(dir, "clients.crt"), filepath.Join(dir, "proxies.crt")
	write := func(file string, text []byte) {
		if err := os.WriteFile(file+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(clientCA, first.pem())
	write(proxyCA, first.pem())
	s := testserver.Start(t, "--controllers=", "--client-ca-file="+clientCA, "--requestheader-client-ca-file="+proxyCA,
		"--requestheader-allowed-names=proxy", "--requestheader-username-headers=X-Remote-User")
	as := http.Header{"X-Remote-User": {"carol"}}
	if got := whoami(t, s, first.client("ann"), nil); got != "ann" {
		t.Error(got)
	}
	if got := whoami(t, s, second.client("bob"), nil); got != "error: Unauthorized" {
		t.Error(got)
	}
	if got := whoami(t, s, first.client("proxy"), as); got != "carol" {
		t.Error(got)
	}
	write(clientCA, second.pem())
	write(proxyCA, proxies.pem())
	eventually := func(want string, pair tls.Certificate, headers http.Header) {
		var got string
		err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			got = whoami(t, s, pair, headers)
			return got == want, nil
		})
		if err != nil {
			t.Errorf("%s, want %s", got, want)
		}
	}
	eventually("bob", second.client("bob"), nil)
	eventually("carol", proxies.client("proxy"), as)
	eventually("error: Unauthorized", first.client("ann"), nil)
	eventually("error: Unauthorized", first.client("proxy"), as)
}

// Were any client of an authority a proxy too, it could say that it is anybody.
func TestClientsAreNoProxies(t *testing.T) {
	t.Parallel()
	both, file := newAuthority(t, "both"), filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, both.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, flags := options.New(), pflag.NewFlagSet("serve", pflag.ContinueOnError)
	groups := opts.Flags()
	for _, name := range groups.Order {
		flags.AddFlagSet(groups.FlagSets[name])
	}
	err := flags.Parse([]string{
		"--data-dir=" + t.TempDir(), "--secure-port=0", "--client-ca-file=" + file,
		"--requestheader-client-ca-file=" + file, "--requestheader-username-headers=X-Remote-User",
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := opts.Config()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apiserver.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "contain overlapping certificates") {
		t.Error(err)
	}
}
