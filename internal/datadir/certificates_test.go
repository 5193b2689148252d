package datadir_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"

	"github.com/mintmark/mintmark/internal/datadir"
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

// TestOwnFilesAreMadeAnew spoils what the server can make again.
func TestOwnFilesAreMadeAnew(t *testing.T) {
	wanted := wantedOf(newIssuer(t, nil, "authority"))
	other := open(t, t.TempDir())
	ensure(t, other, wantedOf(newIssuer(t, nil, "another")), time.Now())
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
		"no copy of the authorities": {func(d *datadir.Dir) error { return os.Remove(d.Path("ca.crt")) }, []string{"ca.crt"}},
		"copy of another's": {func(d *datadir.Dir) error {
			return os.WriteFile(d.Path("ca.crt"), newIssuer(t, nil, "other").pem(), 0o600)
		}, []string{"ca.crt"}},
		"chain cut after the leaf": {func(d *datadir.Dir) error {
			leaf, _ := pem.Decode(read(t, d.Path("serving.crt")))
			return os.WriteFile(d.Path("serving.crt"), pem.EncodeToMemory(leaf), 0o600)
		}, []string{"serving.crt"}},
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
