package datadir_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
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
