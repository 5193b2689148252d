package identity_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/identity"
)

// formerAuthority is an authority of an older version.
type formerAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newFormer(t *testing.T, name string, from time.Time, life time.Duration) formerAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: from.Add(life),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return formerAuthority{certificate, key}
}

func (f formerAuthority) certificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.certificate.Raw})
}

func (f formerAuthority) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(f.key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// client returns a certificate that the authority has issued to a client.
func (f formerAuthority) client(t *testing.T) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "client"}, SerialNumber: big.NewInt(2), NotBefore: f.certificate.NotBefore, NotAfter: f.certificate.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, f.certificate, f.key.Public(), f.key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate
}

// upgrade starts as a newer version does with a data directory in which an older one has left authorities.
func (w *world) upgrade(authorities ...formerAuthority) *replica {
	w.t.Helper()
	r := w.replica(nil)
	var crt, key []byte
	for _, a := range authorities {
		crt, key = append(crt, a.certificatePEM()...), append(key, a.keyPEM(w.t)...)
	}
	must(w.t, os.WriteFile(r.dir.Path("ca.crt"), crt, 0o600))
	must(w.t, os.WriteFile(r.dir.Path("ca.key"), key, 0o600))
	r.start()
	return r
}

// start opens the identity anew.
func (r *replica) start() {
	r.t.Helper()
	former, err := r.dir.Former()
	must(r.t, err)
	name, err := r.dir.ServerName()
	must(r.t, err)
	cfg := r.config(name)
	cfg.Former = former
	r.identity = r.open(cfg)
	r.want.Identity = r.identity
}

// TestUpgrade moves the authorities of two data directories into one store. What either has issued goes on, at both servers.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	older := newFormer(t, "older", w.now.Add(-9*year), 10*year)
	newer := newFormer(t, "newer", w.now.Add(-year), 10*year)
	second := newFormer(t, "second", w.now.Add(-2*year), 10*year)

	one := w.upgrade(newer, older)
	files, made := one.ensure()
	if want := slices.Concat(newer.certificatePEM(), older.certificatePEM()); !bytes.Equal(files.CA, want) || slices.Contains(made, "ca.crt") {
		t.Errorf("the authorities have changed; made %q", made)
	}
	for range 2 { // also if the process ended before it removed the files
		revision := w.revision()
		one.start()
		if w.revision() != revision {
			t.Error("a second start has changed the store")
		}
	}
	must(t, one.dir.ForgetFormer())
	one.start()
	one.ensure()

	other := w.upgrade(second)
	must(t, other.dir.ForgetFormer())
	other.start()
	for _, r := range []*replica{one, other} {
		r.ensure()
		for _, former := range []formerAuthority{older, newer, second} {
			if err := r.accepts(former.client(t)); err != nil {
				t.Errorf("a client of the %s authority: %v", former.certificate.Subject, err)
			}
			if err := r.verify(former.certificatePEM()); err != nil {
				t.Errorf("a client that knows the %s authority only: %v", former.certificate.Subject, err)
			}
		}
	}
	if raw := get(t, w.client, stored); strings.Contains(raw, "PRIVATE KEY") || bytes.Contains([]byte(raw), newer.key.D.Bytes()) { //nolint:staticcheck // the raw scalar is what must not be there
		t.Error("the store holds a key in clear text")
	}
	// The one that signed goes on.
	if _, admin := other.admin(); admin.CheckSignatureFrom(newer.certificate) != nil {
		t.Errorf("another authority signs: %s", admin.Issuer)
	}
}

// TestStoreOfAnotherDirectory starts with a copy of authorities whose keys are nowhere: what clients know would not be so any longer.
func TestStoreOfAnotherDirectory(t *testing.T) {
	t.Parallel()
	lost := newFormer(t, "lost", time.Now(), year)
	ended := newFormer(t, "ended", time.Now().Add(-2*year), year)
	for name, used := range map[string]bool{"an empty store": false, "another's store": true} {
		w := newWorld(t)
		if used {
			w.open(w.config("other"))
		}
		before := get(t, w.client, stored)
		r := w.replica(nil)
		must(t, os.WriteFile(r.dir.Path("ca.crt"), lost.certificatePEM(), 0o600))
		former, err := r.dir.Former()
		must(t, err)
		cfg := w.config("one")
		cfg.Former = former
		_, err = identity.Open(t.Context(), cfg)
		for _, part := range []string{r.dir.Path("ca.crt") + " is useless without its key", "restore the store or put", r.dir.Path("ca.key")} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %v\ndoes not say %s", name, err, part)
			}
		}
		if get(t, w.client, stored) != before {
			t.Errorf("%s: the store has changed", name)
		}
		must(t, os.WriteFile(r.dir.Path("ca.crt"), ended.certificatePEM(), 0o600))
		r.start()
	}
}

// TestStoreThatCantBeUsed spoils the identity in the store. The error says what to do, and nothing is overwritten.
func TestStoreThatCantBeUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(w.config("one"))
	good := get(t, w.client, stored)
	anotherKey, err := identity.NewSealer(t.Context(), directoryKey(randomKey()))
	must(t, err)
	t.Cleanup(anotherKey.Close)
	for name, test := range map[string]struct {
		text   string
		sealer *identity.Sealer
		want   string
	}{
		"another key":     {good, anotherKey, "holds another one"},
		"no JSON":         {"garbage", w.sealer, "restore the store from a backup"},
		"a later version": {strings.Replace(good, `"version": 1`, `"version": 2`, 1), w.sealer, "run the program that wrote it, or a later one"},
		"no authorities":  {`{"version": 1, "issuer": "https://tokens.example"}`, w.sealer, "holds no authority with a key: restore the store"},
		"no certificate":  {strings.Replace(good, "BEGIN CERT", "BEGIN CART", 1), w.sealer, "restore the store from a backup"},
		"another's key":   {strings.Replace(good, `"key": "azhz`, `"key": "bzhz`, 1), w.sealer, "is not encrypted"},
	} {
		put(t, w.client, stored, test.text)
		cfg := w.config("one")
		cfg.Sealer = test.sealer
		if _, err := identity.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if get(t, w.client, stored) != test.text {
			t.Errorf("%s: the store has changed", name)
		}
	}
	// The identity is gone, and keys of it are there.
	_, err = w.client.Delete(t.Context(), stored)
	must(t, err)
	must(t, identity.NewSecrets(w.client, prefix, w.sealer).Create(t.Context(), "signingkeys/es256-1", []byte("key")))
	if _, err := identity.Open(t.Context(), w.config("one")); err == nil || !strings.Contains(err.Error(), "the store holds private keys (signingkeys/es256-1), but no "+stored) {
		t.Error(err)
	}
}

// TestIdentityIsEncryptedAnew changes what encrypts.
func TestIdentityIsEncryptedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	oldKey := provider("aescbc")
	use := func(providers ...string) {
		sealer, err := identity.NewSealer(t.Context(), identity.SealerConfig{ConfigurationFile: configuration(t, "secrets", providers...)})
		must(t, err)
		t.Cleanup(sealer.Close)
		w.sealer = sealer
	}
	use(oldKey)
	bundle := w.open(w.config("one")).Authority(w.now).Bundle()
	before := get(t, w.client, stored)
	newKey := provider("secretbox")
	for _, providers := range [][]string{{newKey, oldKey}, {newKey}} {
		use(providers...)
		if !bytes.Equal(w.open(w.config("one")).Authority(w.now).Bundle(), bundle) {
			t.Error("the authority has changed")
		}
	}
	if get(t, w.client, stored) == before {
		t.Error("the key was not encrypted anew")
	}
}

// TestPublishedRoots registers three servers with roots of their own. All of them publish the same, and write nothing more.
func TestPublishedRoots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := newFormer(t, "a", w.now, 100*day).certificatePEM(), newFormer(t, "b", w.now, 2*year).certificatePEM()
	servers := map[string]*identity.Identity{}
	for _, name := range []string{"own", "a", "b", "unknown"} {
		servers[name] = w.open(w.config(name))
	}
	bundle := servers["own"].Authority(w.now).Bundle()
	publish := func() map[string][]byte {
		published := map[string][]byte{}
		for name, server := range servers {
			must(t, server.Refresh(t.Context()))
			switch name {
			case "own":
				published[name] = server.Publish(t.Context(), bundle, true)
			case "a":
				published[name] = server.Publish(t.Context(), a, false)
			case "b":
				published[name] = server.Publish(t.Context(), slices.Concat(b, a), false)
			default:
				published[name] = server.Publish(t.Context(), nil, false)
			}
		}
		return published
	}
	publish()
	revision, all := w.revision(), publish()
	for name, got := range all {
		if !bytes.Equal(got, all["own"]) || !bytes.HasPrefix(got, bundle) || len(got) != len(bundle)+len(a)+len(b) {
			t.Errorf("%s publishes %d bytes: not the same as others", name, len(got))
		}
	}
	if w.revision() != revision {
		t.Error("servers keep writing")
	}
	w.now = w.now.Add(120 * day) // the root of a has ended
	delete(servers, "own")       // and one server is gone
	for range 3 {
		all = publish()
	}
	for name, got := range all {
		if !bytes.Equal(got, b) {
			t.Errorf("%s publishes %d bytes, want the root of b alone", name, len(got))
		}
	}
	revision = w.revision()
	publish()
	if w.revision() != revision {
		t.Error("servers keep writing")
	}
	// Another certificate of the operator takes the place of the former.
	if got := servers["b"].Publish(t.Context(), bundle, true); !bytes.Equal(got, bundle) {
		t.Errorf("after the change %d bytes are published", len(got))
	}
}

// TestAnotherServersChangeIsNoticed has a server hear of what another changes without asking for it.
func TestAnotherServersChangeIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	changed := make(chan struct{}, 100)
	cfg := w.config("one")
	cfg.Changed = func() { changed <- struct{}{} }
	one := w.open(cfg)
	<-changed
	go one.Run(t.Context())
	other := w.open(w.config("other"))
	for n := 0; ; n++ {
		root := newFormer(t, "root", w.now, year).certificatePEM()
		want := other.Publish(t.Context(), root, false)
		select {
		case <-changed:
			if n == 0 {
				continue // the first may have been made before the watch began
			}
		case <-time.After(time.Second):
			if n < 10 {
				continue // the watch has not begun yet
			}
			t.Fatal("the change was not noticed")
		}
		if got := one.Publish(t.Context(), nil, false); !bytes.Equal(got, want) {
			t.Errorf("published %d bytes, want %d", len(got), len(want))
		}
		return
	}
}
