package authn

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
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// signed is a certificate with its key.
type signed struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// sign makes a certificate that is good for some time from now. Without an authority it signs itself.
func sign(t testing.TB, name string, life time.Duration, authority *signed) *signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"dev"}},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, by := template, key
	if authority != nil {
		parent, by = authority.Certificate, authority.key
	}
	if strings.HasSuffix(name, "authority") {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signed{made, key}
}

// bundle is a ClientCA whose content can be replaced.
type bundle struct{ content []byte }

func (b *bundle) trust(authorities ...*signed) {
	b.content = nil
	for _, a := range authorities {
		b.content = append(b.content, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Raw})...)
	}
}

func (b *bundle) CurrentCABundleContent() []byte { return b.content }

func (b *bundle) VerifyOptions() (x509.VerifyOptions, bool) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.content)
	return x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, len(b.content) > 0
}

// TestCertificates: that a certificate was checked once lets nobody in whom another check would refuse, as time goes on
// and authorities come and go.
func TestCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, other := sign(t, "root authority", 10*time.Hour, nil), sign(t, "other authority", 10*time.Hour, nil)
		between := sign(t, "intermediate authority", 3*time.Hour, root)
		ann, ben := sign(t, "ann", time.Hour, root), sign(t, "ben", 5*time.Hour, between)
		ca := &bundle{}
		ca.trust(root)
		c := newCertificates(ca)
		check := func(name, want string, presented ...*signed) {
			t.Helper()
			request := &http.Request{TLS: &tls.ConnectionState{}}
			for _, p := range presented {
				request.TLS.PeerCertificates = append(request.TLS.PeerCertificates, p.Certificate)
			}
			for _, turn := range []string{"first", "second"} {
				got := ""
				response, ok, err := c.AuthenticateRequest(request)
				if ok {
					got = response.User.GetName()
				}
				if got != want || (want == "" && len(presented) > 0) != (err != nil) {
					t.Errorf("%s, %s time: user %q, error %v; want user %q", name, turn, got, err, want)
				}
				if ok && !slices.Contains(response.User.GetGroups(), "dev") {
					t.Errorf("%s, %s time: groups %q", name, turn, response.User.GetGroups())
				}
			}
		}
		check("no certificate", "")
		check("ann", "ann", ann)
		check("ben with what leads to the root", "ben", ben, between)
		check("ben without it", "", ben)
		check("an authority that is not trusted", "", sign(t, "eve", time.Hour, other))
		ca.trust(other)
		check("ann, whose authority is gone", "", ann)
		ca.trust(other, root)
		check("ann, whose authority is back", "ann", ann)
		time.Sleep(time.Hour)
		check("ann at the last moment", "ann", ann)
		time.Sleep(time.Second)
		check("ann, whose certificate has ended", "", ann)
		check("ben still", "ben", ben, between)
		time.Sleep(2 * time.Hour)
		check("ben, whose authority's certificate has ended", "", ben, between)
	})
}

// TestCertificatesAreCheckedOnce: a certificate that was found good is not checked again.
func TestCertificatesAreCheckedOnce(t *testing.T) {
	root := sign(t, "root authority", time.Hour, nil)
	ca := &bundle{}
	ca.trust(root)
	c := newCertificates(ca)
	request := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{sign(t, "ann", time.Hour, root).Certificate}}}
	if _, ok, err := c.AuthenticateRequest(request); !ok {
		t.Fatal(err)
	}
	c.ask = nil
	if _, ok, err := c.AuthenticateRequest(request); !ok {
		t.Fatal(err)
	}
	if allocated := testing.AllocsPerRun(100, func() { _, _, _ = c.AuthenticateRequest(request) }); allocated > 1 {
		t.Errorf("%.0f allocations, want no more than the response", allocated)
	}
}
