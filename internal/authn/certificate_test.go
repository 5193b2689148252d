package authn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
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
		c := newCertificates(ca, nil, Signer{})
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

// takenBack has the certificates of one user refused that were issued before an instant.
type takenBack struct {
	Revocations
	user   string
	before time.Time
}

func (b *takenBack) CheckCertificate(commonName string, issuedAt int64) error {
	if commonName == b.user && issuedAt < b.before.Unix() {
		return errors.New("taken back")
	}
	return nil
}

// TestRevokedCertificates: a certificate that was taken back is refused, whether it was seen before or not. When it was issued is
// known exactly if an authority signed it with which this server signs, and by its beginning otherwise.
func TestRevokedCertificates(t *testing.T) {
	const backdate = time.Minute // that of sign
	root, further := sign(t, "root authority", time.Hour, nil), sign(t, "other authority", time.Hour, nil)
	between := sign(t, "intermediate authority", time.Hour, root)
	now := time.Now().Truncate(time.Second)
	for name, test := range map[string]struct {
		presented []*signed
		before    time.Duration // when it is taken back, from now
		revoked   bool
	}{
		"issued before":                         {[]*signed{sign(t, "vm1", time.Hour, root)}, 5 * time.Second, true},
		"issued later":                          {[]*signed{sign(t, "vm1", time.Hour, root)}, -5 * time.Second, false},
		"another user":                          {[]*signed{sign(t, "vm2", time.Hour, root)}, 5 * time.Second, false},
		"another authority, which may backdate": {[]*signed{sign(t, "vm1", time.Hour, further)}, -5 * time.Second, true},
		"another authority, issued later":       {[]*signed{sign(t, "vm1", time.Hour, further)}, -backdate - 5*time.Second, false},
		"below this server's authority":         {[]*signed{sign(t, "vm1", time.Hour, between), between}, -5 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			ca, back := &bundle{}, &takenBack{}
			ca.trust(root, further)
			c := newCertificates(ca, back, Signer{Authorities: func() []*x509.Certificate { return []*x509.Certificate{root.Certificate} }, Backdate: backdate})
			request := &http.Request{TLS: &tls.ConnectionState{}}
			for _, p := range test.presented {
				request.TLS.PeerCertificates = append(request.TLS.PeerCertificates, p.Certificate)
			}
			check := func(turn string, revoked bool) {
				t.Helper()
				response, ok, err := c.AuthenticateRequest(request)
				if ok == revoked || (err != nil) != revoked || (response != nil) == revoked {
					t.Errorf("%s: accepted: %t, error %v; want it refused: %t", turn, ok, err, revoked)
				}
			}
			back.user, back.before = "vm1", now.Add(test.before)
			check("not seen before", test.revoked)
			back.user = ""
			check("before it is taken back", false)
			back.user = "vm1"
			check("remembered", test.revoked)
		})
	}
}

// TestCertificatesAreCheckedOnce: a certificate that was found good is not checked again.
func TestCertificatesAreCheckedOnce(t *testing.T) {
	root := sign(t, "root authority", time.Hour, nil)
	ca := &bundle{}
	ca.trust(root)
	c := newCertificates(ca, nil, Signer{})
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
