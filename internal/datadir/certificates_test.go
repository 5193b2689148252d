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

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"

	"github.com/mintmark/mintmark/internal/datadir"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// verify checks the serving certificate of the directory as a client that trusts some authorities does.
func verify(t *testing.T, files *datadir.Files, trusted []byte, at time.Time) error {
	t.Helper()
	chain, err := cert.CertsFromFile(files.ServingCertificate)
	must(t, err)
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots, Intermediates: intermediates, CurrentTime: at})
	return err
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return data
}

func admin(t *testing.T, dir *datadir.Dir) (*clientcmdapi.Cluster, []byte) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(dir.Path(datadir.AdminKubeconfig))
	must(t, err)
	return config.Clusters["mintmark"], config.AuthInfos["admin"].ClientCertificateData
}

// TestAuthorityIsSucceeded goes through the twelve years around the end of an authority. A client that knows one of two
// authorities that are valid knows the server, and the server knows both authorities' clients.
func TestAuthorityIsSucceeded(t *testing.T) {
	dir, start := open(t, t.TempDir()), time.Now()
	first := ensure(t, dir, wanted, start)
	_, firstAdmin := admin(t, dir)
	if diff := cmp.Diff([]string(nil), made(ensure(t, dir, wanted, start.Add(200*day)))); diff != "" {
		t.Error(diff)
	}
	before := ensure(t, dir, wanted, start.Add(8*year-day))
	if string(before.CA) != string(first.CA) {
		t.Error("the authority was changed two years and a day before its end")
	}
	now := start.Add(8*year + day)
	second := ensure(t, dir, wanted, now)
	if diff := cmp.Diff([]string{"ca.crt", "serving.crt", "admin.kubeconfig"}, made(second)); diff != "" {
		t.Error(diff)
	}
	bundle, err := cert.ParseCertsPEM(second.CA)
	must(t, err)
	if len(bundle) != 2 || !strings.HasSuffix(string(second.CA), string(first.CA)) {
		t.Fatalf("%d authorities; want the new one, and the old one behind it", len(bundle))
	}
	newest := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bundle[0].Raw})
	cluster, _ := admin(t, dir)
	for name, trusted := range map[string][]byte{"old": first.CA, "new": newest, "both": second.CA, "kubeconfig": cluster.CertificateAuthorityData} {
		if err := verify(t, second, trusted, now); err != nil {
			t.Errorf("a client that trusts %s: %v", name, err)
		}
	}
	if string(cluster.CertificateAuthorityData) != string(second.CA) || string(second.PublishedRootCA) != string(second.CA) || string(read(t, dir.Path("ca.crt"))) != string(second.CA) {
		t.Error("kubeconfig, token secrets and ca.crt don't carry both")
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(second.CA)
	old, err := cert.ParseCertsPEM(firstAdmin)
	must(t, err)
	if _, err := old[0].Verify(x509.VerifyOptions{Roots: clients, CurrentTime: start.Add(day), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("a client certificate of the old authority: %v", err)
	}
	if len(second.Problems) > 0 {
		t.Error(second.Problems)
	}
	if diff := cmp.Diff([]string(nil), made(ensure(t, dir, wanted, now.Add(day)))); diff != "" {
		t.Error(diff)
	}
	after := ensure(t, dir, wanted, start.Add(12*year))
	if err := verify(t, after, newest, start.Add(12*year)); err != nil {
		t.Errorf("after the end of the old authority: %v", err)
	}
}

// TestClockThatWasWrong starts with a clock that is ahead, or behind, of the right time. What was made then is replaced,
// and the authority that clients know signs again.
func TestClockThatWasWrong(t *testing.T) {
	right := time.Now()
	for name, wrong := range map[string]time.Time{"ahead": right.Add(3 * year), "in 1970": time.Unix(0, 0)} {
		t.Run("at the first start "+name, func(t *testing.T) {
			dir := open(t, t.TempDir())
			ensure(t, dir, wanted, wrong)
			files := ensure(t, dir, wanted, right)
			if diff := cmp.Diff([]string{"ca.crt", "serving.crt", "admin.kubeconfig"}, made(files)); diff != "" {
				t.Error(diff)
			}
			if err := verify(t, files, files.CA, right); err != nil {
				t.Error(err)
			}
		})
		t.Run("at a later start "+name, func(t *testing.T) {
			dir := open(t, t.TempDir())
			known := ensure(t, dir, wanted, right).CA
			ensure(t, dir, wanted, wrong)
			files := ensure(t, dir, wanted, right)
			if err := verify(t, files, known, right); err != nil {
				t.Errorf("a client that knows the first authority: %v", err)
			}
			if len(files.Problems) > 0 {
				t.Error(files.Problems)
			}
		})
	}
}

// TestOwnFilesAreMadeAnew spoils what the server can make again.
func TestOwnFilesAreMadeAnew(t *testing.T) {
	other := open(t, t.TempDir())
	ensure(t, other, wanted, time.Now())
	for name, test := range map[string]struct {
		spoil func(dir *datadir.Dir) error
		made  []string
	}{
		"no serving key":         {func(d *datadir.Dir) error { return os.Remove(d.Path("serving.key")) }, []string{"serving.crt"}},
		"no serving certificate": {func(d *datadir.Dir) error { return os.Remove(d.Path("serving.crt")) }, []string{"serving.crt"}},
		"key of another": {func(d *datadir.Dir) error {
			return os.WriteFile(d.Path("serving.key"), read(t, other.Path("serving.key")), 0o600)
		}, []string{"serving.crt"}},
		"certificate of another": {func(d *datadir.Dir) error {
			return os.WriteFile(d.Path("serving.crt"), read(t, other.Path("serving.crt")), 0o600)
		}, []string{"serving.crt"}},
		"empty serving key": {func(d *datadir.Dir) error { return os.Truncate(d.Path("serving.key"), 0) }, []string{"serving.crt"}},
		"cut certificate":   {func(d *datadir.Dir) error { return os.Truncate(d.Path("serving.crt"), 100) }, []string{"serving.crt"}},
		"cut kubeconfig":    {func(d *datadir.Dir) error { return os.Truncate(d.Path("admin.kubeconfig"), 100) }, []string{"admin.kubeconfig"}},
		"kubeconfig of another": {func(d *datadir.Dir) error {
			return os.WriteFile(d.Path("admin.kubeconfig"), read(t, other.Path("admin.kubeconfig")), 0o600)
		}, []string{"admin.kubeconfig"}},
		"no authority's certificate, but its key": {func(d *datadir.Dir) error { return os.Remove(d.Path("ca.crt")) }, []string{"ca.crt"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := open(t, t.TempDir())
			known := ensure(t, dir, wanted, time.Now()).CA
			must(t, test.spoil(dir))
			files := ensure(t, dir, wanted, time.Now())
			if diff := cmp.Diff(test.made, made(files)); diff != "" {
				t.Error(diff)
			}
			if err := verify(t, files, known, time.Now()); err != nil || len(files.Problems) > 0 {
				t.Errorf("error %v, problems %v", err, files.Problems)
			}
		})
	}
}

// TestAnAuthorityWithoutItsKey must stop the start: a new one would shut out everybody who trusts the old.
func TestAnAuthorityWithoutItsKey(t *testing.T) {
	other := open(t, t.TempDir())
	ensure(t, other, wanted, time.Now())
	for name, test := range map[string]struct {
		spoil func(dir *datadir.Dir) error
		want  string
	}{
		"no key": {func(d *datadir.Dir) error { return os.Remove(d.Path("ca.key")) }, "ca.crt is useless without its key"},
		"key of another": {func(d *datadir.Dir) error {
			return os.WriteFile(d.Path("ca.key"), read(t, other.Path("ca.key")), 0o600)
		}, "ca.key is not the key of "},
		"empty key": {func(d *datadir.Dir) error { return os.Truncate(d.Path("ca.key"), 0) }, "ca.key can't be used: it holds no private key in PEM"},
		"no PEM":    {func(d *datadir.Dir) error { return os.WriteFile(d.Path("ca.crt"), []byte("no PEM"), 0o600) }, "ca.crt holds no certificate; put it back from a backup"},
		"leaf for certificate": {func(d *datadir.Dir) error {
			return os.WriteFile(d.Path("ca.crt"), read(t, d.Path("serving.crt")), 0o600)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := open(t, t.TempDir())
			ensure(t, dir, wanted, time.Now())
			must(t, test.spoil(dir))
			_, err := dir.Ensure(wanted, time.Now())
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v; want %q", err, test.want)
			}
		})
	}
}

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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, key
	if i != nil {
		parent, signer = i.certificate, i.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return &issuer{certificate, key}
}

func newIssuer(t *testing.T, above *issuer, name string) *issuer {
	t.Helper()
	return above.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
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
	want := wanted
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
	_, err := dir.Ensure(want, time.Now())
	for _, part := range []string{"--tls-cert-file " + want.ServingCertificate, "--tls-private-key-file " + want.ServingKey} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not name %s", err, part)
		}
	}
}

// TestOperatorsCertificateIsFollowed replaces a certificate under a running server. The time is the bubble's, so the
// certificates here begin in 2000.
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
