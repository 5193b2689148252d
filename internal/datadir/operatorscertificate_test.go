package datadir_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mintmark/mintmark/internal/datadir"
)

// issuer is a certificate authority of an operator.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func (i *issuer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.certificate.Raw})
}

// issue signs a certificate, or has it sign itself if there is no issuer.
func (i *issuer) issue(t *testing.T, template *x509.Certificate) *issuer {
	t.Helper()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	signed, err := i.sign(template)
	must(t, err)
	return signed
}

func (i *issuer) sign(template *x509.Certificate) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := template, key
	if i != nil {
		parent, signer = i.certificate, i.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &issuer{certificate, key}, err
}

func newIssuer(t *testing.T, above *issuer, name string) *issuer {
	t.Helper()
	return above.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
	})
}

func (i *issuer) server(t *testing.T, names ...string) *issuer {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "server"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return i.issue(t, template)
}

// given writes a serving certificate of the operator, with more certificates behind it, and returns what is wanted then.
func given(t *testing.T, folder string, serving *issuer, behind ...[]byte) datadir.Wanted {
	t.Helper()
	want := wantedOf(newIssuer(t, nil, "authority"))
	want.ServingCertificate, want.ServingKey = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	der, err := x509.MarshalPKCS8PrivateKey(serving.key)
	must(t, err)
	chain := serving.pem()
	for _, more := range behind {
		chain = append(chain, more...)
	}
	must(t, datadir.WriteFile(want.ServingKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	must(t, datadir.WriteFile(want.ServingCertificate, chain, 0o644))
	return want
}

// TestRootOfTheOperatorsCertificate looks at what clients get as the authority of a server with a certificate of the
// operator: what every client accepts, or nothing. It also looks at the name that the kubeconfig has them look for.
func TestRootOfTheOperatorsCertificate(t *testing.T) {
	root := newIssuer(t, nil, "root")
	between := newIssuer(t, root, "between")
	for name, test := range map[string]struct {
		serving    *issuer
		behind     [][]byte
		published  []byte
		serverName string
		problem    string
	}{
		"authority behind it":    {root.server(t, "127.0.0.1"), [][]byte{root.pem()}, root.pem(), "", ""},
		"whole chain":            {between.server(t, "127.0.0.1"), [][]byte{between.pem(), root.pem()}, root.pem(), "", ""},
		"leaf alone":             {root.server(t, "127.0.0.1"), nil, nil, "", "so token secrets get no ca.crt"},
		"chain without its root": {between.server(t, "127.0.0.1"), [][]byte{between.pem()}, nil, "", "so token secrets get no ca.crt"},
		"another's root":         {root.server(t, "127.0.0.1"), [][]byte{newIssuer(t, nil, "root").pem()}, nil, "", "so token secrets get no ca.crt"},
		"other names":            {root.server(t, "tokens.example", "other.example"), [][]byte{root.pem()}, root.pem(), "tokens.example", ""},
		"names of its own":       {root.server(t, "other.example"), [][]byte{root.pem()}, root.pem(), "other.example", ""},
		"wildcard":               {root.server(t, "*.example"), [][]byte{root.pem()}, root.pem(), "tokens.example", ""},
		"wildcard elsewhere":     {root.server(t, "*.other.example"), [][]byte{root.pem()}, root.pem(), "mintmark.other.example", ""},
		"another address":        {root.server(t, "192.0.2.1"), [][]byte{root.pem()}, root.pem(), "192.0.2.1", ""},
		"no names at all":        {root.server(t), [][]byte{root.pem()}, root.pem(), "", "does not work with the certificate in "},
		"authority not for others": {root.issue(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: "client"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}), [][]byte{root.pem()}, root.pem(), "", "does not work with the certificate in "},
		"ended": {root.issue(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: "old"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute),
		}), [][]byte{root.pem()}, root.pem(), "", "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := open(t, t.TempDir())
			files := ensure(t, dir, given(t, t.TempDir(), test.serving, test.behind...), time.Now())
			if string(files.PublishedRootCA) != string(test.published) {
				t.Errorf("published:\n%s", files.PublishedRootCA)
			}
			problems := strings.Join(files.Problems, "\n")
			if test.problem == "" && problems != "" || !strings.Contains(problems, test.problem) {
				t.Errorf("problems %q; want %q", problems, test.problem)
			}
			cluster, _ := admin(t, dir)
			if cluster.TLSServerName != test.serverName {
				t.Errorf("tls-server-name %q; want %q", cluster.TLSServerName, test.serverName)
			}
		})
	}
}

// TestOperatorsPairMustFit: the error names both flags and both files.
func TestOperatorsPairMustFit(t *testing.T) {
	dir, root := open(t, t.TempDir()), newIssuer(t, nil, "root")
	want := given(t, t.TempDir(), root.server(t, "127.0.0.1"))
	want.ServingKey = given(t, t.TempDir(), root.server(t, "127.0.0.1")).ServingKey
	_, err := dir.Ensure(t.Context(), want, time.Now())
	for _, part := range []string{"--tls-cert-file " + want.ServingCertificate, "--tls-private-key-file " + want.ServingKey} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not name %s", err, part)
		}
	}
}

// TestOperatorsCertificateIsFollowed replaces a certificate under a running server. The test's clock begins in 2000, so
// the certificates do as well.
func TestOperatorsCertificateIsFollowed(t *testing.T) {
	path, folder := t.TempDir(), t.TempDir()
	dir := open(t, path)
	synctest.Test(t, func(t *testing.T) {
		first, second := newIssuer(t, nil, "first"), newIssuer(t, nil, "second")
		want := given(t, folder, first.server(t, "127.0.0.1"), first.pem())
		files := ensure(t, dir, want, time.Now())
		changes, renewed := make(chan struct{}), make(chan *datadir.Files, 1)
		ctx, stop := context.WithCancel(t.Context())
		go dir.RenewCertificates(ctx, want, files, changes, func(files *datadir.Files) { renewed <- files })
		given(t, folder, second.server(t, "tokens.example"), second.pem())
		changes <- struct{}{}
		if got := <-renewed; string(got.PublishedRootCA) != string(second.pem()) {
			t.Errorf("published after the change:\n%s", got.PublishedRootCA)
		}
		if cluster, _ := admin(t, dir); string(cluster.CertificateAuthorityData) != string(second.pem()) || cluster.TLSServerName != "tokens.example" {
			t.Error("the kubeconfig still leads to the first certificate")
		}
		must(t, os.WriteFile(want.ServingCertificate, []byte("broken"), 0o600))
		changes <- struct{}{}
		given(t, folder, first.server(t, "127.0.0.1"), first.pem())
		// Without a word about the change, the next look finds it.
		if got := <-renewed; string(got.PublishedRootCA) != string(first.pem()) {
			t.Errorf("published after the second change:\n%s", got.PublishedRootCA)
		}
		stop()
		synctest.Wait()
	})
}
