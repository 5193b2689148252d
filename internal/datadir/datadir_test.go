package datadir_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"

	"github.com/mintmark/mintmark/internal/datadir"
)

// wantedOf is what a server wants that has an authority.
func wantedOf(i *issuer) datadir.Wanted {
	return datadir.Wanted{
		Identity: oneServer{&oneAuthority{i}}, Hosts: []string{"localhost", "127.0.0.1", "tokens.example"}, Server: "https://127.0.0.1:7443",
	}
}

// oneServer is the identity of one server alone.
type oneServer struct{ authority *oneAuthority }

func (s oneServer) Authority(time.Time) datadir.Authority { return s.authority }

func (s oneServer) Publish(_ context.Context, roots []byte, _ bool) []byte { return roots }

// oneAuthority is one certificate authority alone.
type oneAuthority struct{ *issuer }

func (a *oneAuthority) Bundle() []byte { return a.pem() }

func (a *oneAuthority) Signed(c *x509.Certificate) bool {
	return c.CheckSignatureFrom(a.certificate) == nil
}

func (a *oneAuthority) Chain() ([]byte, error) { return a.pem(), nil }

func (a *oneAuthority) Leads(chain []*x509.Certificate) bool { return len(chain) > 0 }

func (a *oneAuthority) Issue(template *x509.Certificate) (*x509.Certificate, []byte, error) {
	signed, err := a.sign(template)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(signed.key)
	return signed.certificate, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}

func open(t *testing.T, path string) *datadir.Dir {
	t.Helper()
	dir, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

func ensure(t *testing.T, dir *datadir.Dir, want datadir.Wanted, now time.Time) *datadir.Files {
	t.Helper()
	files, err := dir.Ensure(t.Context(), want, now)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// made returns the last parts of the names of the files that were made.
func made(files *datadir.Files) []string {
	var names []string
	for _, file := range files.Made {
		names = append(names, filepath.Base(file))
	}
	return names
}

func load(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	certificates, err := cert.CertsFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return certificates[0]
}

func TestOneProcessToADirectory(t *testing.T) {
	path := t.TempDir()
	first := open(t, path)
	_, err := datadir.Open(path)
	if err == nil || !strings.Contains(err.Error(), "is in use by process ") || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v does not say who holds %s", err, path)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// TestCertificates checks that what is made does what it is for, and that only what is missing or ends soon is made.
func TestCertificates(t *testing.T) {
	wanted := wantedOf(newIssuer(t, nil, "authority"))
	dir := open(t, filepath.Join(t.TempDir(), "new"))
	start := time.Now()
	files := ensure(t, dir, wanted, start)
	if diff := cmp.Diff([]string{"ca.crt", "serving.crt", "admin.kubeconfig"}, made(files)); diff != "" {
		t.Error(diff)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(files.RootCA)
	serving := load(t, files.ServingCertificate)
	for _, host := range wanted.Hosts {
		if _, err := serving.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
			t.Errorf("as %s: %v", host, err)
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", dir.Path(datadir.AdminKubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := cert.ParseCertsPEM(config.CertData)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("the administrator's certificate: %v", err)
	}
	if diff := cmp.Diff([]string{"system:masters"}, admin[0].Subject.Organization); diff != "" {
		t.Error(diff)
	}

	elsewhere := wanted
	elsewhere.Hosts = append(elsewhere.Hosts, "other.example")
	moved := elsewhere
	moved.Server = "https://127.0.0.1:8443"
	for _, step := range []struct {
		name  string
		want  datadir.Wanted
		after time.Duration
		made  []string
	}{
		{name: "at once", want: wanted},
		{name: "under another name, too", want: elsewhere, made: []string{"serving.crt"}},
		{name: "on another port", want: moved, made: []string{"admin.kubeconfig"}},
		{name: "after ten months", want: moved, after: 300 * 24 * time.Hour},
		{name: "in the last month", want: moved, after: 340 * 24 * time.Hour, made: []string{"serving.crt", "admin.kubeconfig"}},
		{name: "after that", want: moved, after: 341 * 24 * time.Hour},
	} {
		if diff := cmp.Diff(step.made, made(ensure(t, dir, step.want, start.Add(step.after)))); diff != "" {
			t.Errorf("%s:\n%s", step.name, diff)
		}
	}
}

func TestAServingCertificateOfOnesOwn(t *testing.T) {
	dir := open(t, t.TempDir())
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKey("tokens.example", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	own := wantedOf(newIssuer(t, nil, "authority"))
	own.ServingCertificate, own.ServingKey = dir.Path("own.crt"), dir.Path("own.key")
	for name, data := range map[string][]byte{own.ServingCertificate: certPEM, own.ServingKey: keyPEM} {
		if err := datadir.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := ensure(t, dir, own, time.Now())
	if diff := cmp.Diff([]string{"ca.crt", "admin.kubeconfig"}, made(files)); diff != "" {
		t.Error(diff)
	}
	config, err := clientcmd.BuildConfigFromFlags("", dir.Path(datadir.AdminKubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	if want, got := string(files.PublishedRootCA), string(config.CAData); got != want || !strings.HasSuffix(string(certPEM), want) {
		t.Error("the kubeconfig trusts another authority than the one in the certificate's file")
	}
	if len(files.Problems) > 0 {
		t.Error(files.Problems)
	}
}

func TestWriteFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"one", "another, longer", ""} {
		if err := datadir.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != text {
			t.Errorf("%q, error %v; want %q", got, err, text)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(name)); err != nil || len(entries) != 1 {
		t.Errorf("something is left over: %v, error %v", entries, err)
	}
	if err := datadir.WriteFile(filepath.Join(name, "below"), nil, 0o600); err == nil {
		t.Error("a file below a file was written")
	}
}
