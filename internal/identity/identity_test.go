package identity_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"

	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/identity"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
	// stored is where the identity is in the store.
	stored = prefix + "/mintmark.io/identity"
	issuer = "https://tokens.example"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a store, the key for its private keys, and a clock that stands.
type world struct {
	t      *testing.T
	client *clientv3.Client
	sealer *identity.Sealer
	now    time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	sealer, err := identity.NewSealer(t.Context(), directoryKey(randomKey()))
	must(t, err)
	t.Cleanup(sealer.Close)
	return &world{t: t, client: newStore(t), sealer: sealer, now: time.Now()}
}

func (w *world) config(server string) identity.Config {
	return identity.Config{
		Client: w.client, Prefix: prefix, Sealer: w.sealer, Server: server, Derived: issuer,
		Now: func() time.Time { return w.now },
	}
}

func (w *world) open(cfg identity.Config) *identity.Identity {
	w.t.Helper()
	opened, err := identity.Open(w.t.Context(), cfg)
	must(w.t, err)
	return opened
}

// revision is how often anything in the store was changed.
func (w *world) revision() int64 {
	w.t.Helper()
	found, err := w.client.Get(w.t.Context(), stored)
	must(w.t, err)
	return found.Header.Revision
}

// replica is a server's data directory with the identity.
type replica struct {
	*world
	identity *identity.Identity
	dir      *datadir.Dir
	want     datadir.Wanted
}

func (w *world) replica(opened *identity.Identity) *replica {
	w.t.Helper()
	dir, err := datadir.Open(w.t.TempDir())
	must(w.t, err)
	w.t.Cleanup(func() { _ = dir.Close() })
	return &replica{w, opened, dir, datadir.Wanted{Identity: opened, Hosts: []string{"localhost"}, Server: "https://127.0.0.1:7443"}}
}

// ensure does what a running server does every minute. It returns the files, and the last parts of the names of those it made.
func (r *replica) ensure() (*datadir.Files, []string) {
	r.t.Helper()
	must(r.t, r.identity.Refresh(r.t.Context()))
	files, err := r.dir.Ensure(r.t.Context(), r.want, r.now)
	must(r.t, err)
	var made []string
	for _, file := range files.Made {
		made = append(made, filepath.Base(file))
	}
	return files, made
}

// verify checks the serving certificate of the directory as a client that trusts some authorities does.
func (r *replica) verify(trusted []byte) error {
	r.t.Helper()
	chain, err := cert.CertsFromFile(r.dir.Path("serving.crt"))
	must(r.t, err)
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots, Intermediates: intermediates, CurrentTime: r.now})
	return err
}

// verifyPinned checks the serving certificate as a client does that knows the key of one authority by its hash, and takes the
// authority's certificate from what the server sends.
func (r *replica) verifyPinned(authority []byte) error {
	r.t.Helper()
	known, err := cert.ParseCertsPEM(authority)
	must(r.t, err)
	chain, err := cert.CertsFromFile(r.dir.Path("serving.crt"))
	must(r.t, err)
	for _, sent := range chain[1:] {
		if sent.IsCA && bytes.Equal(sent.RawSubjectPublicKeyInfo, known[0].RawSubjectPublicKeyInfo) {
			return r.verify(pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: sent.Raw}))
		}
	}
	return errors.New("the server does not send the authority")
}

// admin returns the authorities and the client certificate in the administrator's kubeconfig.
func (r *replica) admin() (trusted []byte, certificate *x509.Certificate) {
	r.t.Helper()
	config, err := clientcmd.LoadFromFile(r.dir.Path(datadir.AdminKubeconfig))
	must(r.t, err)
	certificates, err := cert.ParseCertsPEM(config.AuthInfos["admin"].ClientCertificateData)
	must(r.t, err)
	return config.Clusters["mintmark"].CertificateAuthorityData, certificates[0]
}

// accepts checks a client certificate as the server does.
func (r *replica) accepts(client *x509.Certificate) error {
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(r.identity.Authority(r.now).Bundle())
	_, err := client.Verify(x509.VerifyOptions{Roots: clients, CurrentTime: r.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

func first(bundle []byte) []byte {
	block, _ := pem.Decode(bundle)
	return pem.EncodeToMemory(block)
}

// TestFirstStartsAtOnce opens the identity of an empty store many times at once. All agree on one.
func TestFirstStartsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opened := make([]*identity.Identity, 8)
	var all sync.WaitGroup
	for n := range opened {
		all.Go(func() {
			cfg := w.config(string(rune('a' + n)))
			cfg.Derived = "https://" + cfg.Server + ".example"
			var err error
			if opened[n], err = identity.Open(t.Context(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	one := w.replica(opened[0])
	one.ensure()
	for _, other := range opened[1:] {
		if other.Issuer() != opened[0].Issuer() || !bytes.Equal(other.Authority(w.now).Bundle(), opened[0].Authority(w.now).Bundle()) {
			t.Error("two servers have two identities")
		}
		replica := w.replica(other)
		files, _ := replica.ensure()
		_, admin := one.admin()
		if err := replica.accepts(admin); err != nil {
			t.Errorf("the administrator of one server is nobody at another: %v", err)
		}
		if err := one.verify(files.RootCA); err != nil {
			t.Errorf("a client of one server does not know another: %v", err)
		}
	}
	if n := len(strings.Split(get(t, w.client, stored), "BEGIN CERTIFICATE")) - 1; n != 1 {
		t.Errorf("%d authorities are in the store", n)
	}
	if strings.Contains(get(t, w.client, stored), "PRIVATE KEY") {
		t.Error("the store holds a private key in clear text")
	}
}

// TestAuthorityIsSucceeded goes through the twelve years around the end of an authority, with two servers. The new authority is trusted
// for an hour before it signs. A client that knows one of two authorities that are valid knows the servers, and the servers know both
// authorities' clients.
func TestAuthorityIsSucceeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := w.now
	one, other := w.replica(w.open(w.config("one"))), w.replica(w.open(w.config("other")))
	files, _ := one.ensure()
	other.ensure()
	before := files.CA
	_, firstAdmin := one.admin()
	for _, after := range []time.Duration{200 * day, 8*year - day} {
		w.now = start.Add(after)
		one.ensure()
		if _, made := one.ensure(); len(made) > 0 || !bytes.Equal(one.identity.Authority(w.now).Bundle(), before) {
			t.Errorf("after %v: made %q", after, made)
		}
	}
	w.now = start.Add(8*year + day)
	other.ensure() // renews its certificates of eight years ago, with the authority of then
	if err := other.verify(before); err != nil {
		t.Error(err)
	}
	files, made := one.ensure()
	if diff := cmp.Diff([]string{"ca.crt", "admin.kubeconfig"}, made); diff != "" {
		t.Errorf("when the new authority was made:\n%s", diff)
	}
	bundle, newest := files.CA, first(files.CA)
	if !bytes.HasSuffix(bundle, before) || bytes.Equal(bundle, before) {
		t.Fatal("the new authority is not in front of the old one")
	}
	if err := one.verify(newest); err == nil {
		t.Error("the new authority signs before all know it")
	}
	w.now = w.now.Add(time.Hour)
	revision := w.revision()
	for _, r := range []*replica{one, other} {
		files, made := r.ensure()
		if diff := cmp.Diff([]string{"serving.crt", "admin.kubeconfig"}, made); diff != "" {
			t.Errorf("an hour later:\n%s", diff)
		}
		trusted, _ := r.admin()
		for name, trusted := range map[string][]byte{"the old": before, "the new": newest, "both": bundle, "the kubeconfig's": trusted} {
			if err := r.verify(trusted); err != nil {
				t.Errorf("a client that trusts %s: %v", name, err)
			}
		}
		for name, pinned := range map[string][]byte{"the old": before, "the new": newest} {
			if err := r.verifyPinned(pinned); err != nil {
				t.Errorf("a client that pins %s: %v", name, err)
			}
		}
		if !bytes.Equal(trusted, bundle) || !bytes.Equal(files.PublishedRootCA, bundle) {
			t.Error("kubeconfig and token secrets don't carry both")
		}
		if len(files.Problems) > 0 {
			t.Error(files.Problems)
		}
	}
	if got := w.revision(); got > revision+2 {
		t.Errorf("%d writes for two servers", got-revision)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(bundle)
	if _, err := firstAdmin.Verify(x509.VerifyOptions{Roots: clients, CurrentTime: start.Add(day), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("a client certificate of the old authority: %v", err)
	}
	w.now = start.Add(12 * year)
	other.ensure()
	one.ensure()
	if err := one.verify(newest); err != nil {
		t.Errorf("after the end of the old authority: %v", err)
	}
	if bytes.Contains(one.identity.Authority(w.now).Bundle(), before) {
		t.Error("an authority that has ended is still trusted")
	}
	w.now = start.Add(9 * year)
	one.ensure()
	if !bytes.Contains(one.identity.Authority(w.now).Bundle(), before) {
		t.Error("a clock that was ahead has dropped an authority for good")
	}
}

// TestClockThatWasWrong starts with a clock that is ahead, or behind, of the right time. What was made then is replaced,
// and the authority that clients know signs again.
func TestClockThatWasWrong(t *testing.T) {
	t.Parallel()
	right := time.Now()
	for name, wrong := range map[string]time.Time{"ahead": right.Add(3 * year), "far ahead": right.Add(30 * year), "in 1970": time.Unix(0, 0)} {
		t.Run("at the first start "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.now = wrong
			r := w.replica(w.open(w.config("one")))
			r.ensure()
			w.now = right
			files, made := r.ensure()
			if diff := cmp.Diff([]string{"ca.crt", "serving.crt", "admin.kubeconfig"}, made); diff != "" {
				t.Error(diff)
			}
			if err := r.verify(files.CA); err != nil {
				t.Error(err)
			}
		})
		t.Run("at a later start "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.replica(w.open(w.config("one")))
			files, _ := r.ensure()
			known := files.CA
			w.now = wrong
			w.open(w.config("one"))
			r.ensure()
			w.now = right
			files, _ = r.ensure()
			if err := r.verify(known); err != nil {
				t.Errorf("a client that knows the first authority: %v", err)
			}
			if !bytes.Contains(files.CA, known) {
				t.Error("the first authority is no longer trusted")
			}
			if len(files.Problems) > 0 {
				t.Error(files.Problems)
			}
		})
	}
}

// TestIssuerIsPinned starts servers with other issuers, one after the other.
func TestIssuerIsPinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const other = "https://other.example"
	for _, step := range []struct {
		what    string
		issuers []string
		change  bool
		want    string
	}{
		{"a first start", nil, false, issuer},
		{"no flag", nil, false, issuer},
		{"the same", []string{issuer}, false, issuer},
		{"more of them", []string{issuer, other}, false, issuer},
		{"another", []string{other}, false, ""},
		{"another in front", []string{other, issuer}, false, ""},
		{"a change", []string{other, issuer}, true, other},
		{"no flag after it", nil, false, other},
		{"the former one", []string{issuer}, false, ""},
		{"a change to the same", []string{other}, true, other},
	} {
		cfg := w.config("one")
		cfg.Issuers, cfg.ChangeIssuer = step.issuers, step.change
		if step.want != "" && step.want != issuer || step.want == "" {
			cfg.Derived = "https://127.0.0.1:1"
		}
		before := get(t, w.client, stored)
		opened, err := identity.Open(t.Context(), cfg)
		switch {
		case step.want == "" && err == nil:
			t.Errorf("%s: the server starts", step.what)
		case step.want == "":
			for _, part := range []string{issuer, other, "--change-service-account-issuer"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %v\ndoes not say %s", step.what, err, part)
				}
			}
			if get(t, w.client, stored) != before {
				t.Errorf("%s: the store has changed", step.what)
			}
		case err != nil:
			t.Errorf("%s: %v", step.what, err)
		case opened.Issuer() != step.want:
			t.Errorf("%s: issuer %q, want %q", step.what, opened.Issuer(), step.want)
		}
	}
}
