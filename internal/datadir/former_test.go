package datadir_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/datadir"
)

// keyPEM is the key of an authority, as an older version wrote it.
func (i *issuer) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(i.key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// TestFormer reads what an older version has left in the directory, whole and spoilt.
func TestFormer(t *testing.T) {
	first, second := newIssuer(t, nil, "first"), newIssuer(t, nil, "second")
	trusted := newIssuer(t, nil, "trusted")
	crt, key := slices.Concat(second.pem(), first.pem(), trusted.pem()), slices.Concat(second.keyPEM(t), first.keyPEM(t))
	for name, test := range map[string]struct {
		crt, key, serving []byte
		// authorities and copies are the names of what is found; a star marks one with a key.
		authorities, copies string
		err                 string
	}{
		"nothing":                       {},
		"two authorities and another's": {crt: crt, key: key, authorities: "second* first* trusted"},
		"a copy":                        {crt: crt, copies: "second first trusted"},
		"no certificates":               {crt: []byte("no PEM")},
		"a key alone":                   {key: key},
		"a lost certificate":            {key: key, serving: append(first.server(t, "localhost").pem(), first.pem()...), authorities: "first*"},
		"key of another":                {crt: trusted.pem(), key: key, err: "ca.key is not the key of "},
		"empty key":                     {crt: crt, key: []byte{}, err: "ca.key can't be used: it holds no private key in PEM"},
		"no PEM":                        {crt: []byte("no PEM"), key: key, err: "ca.crt holds no certificate; put it back from a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := open(t, t.TempDir())
			for file, data := range map[string][]byte{"ca.crt": test.crt, "ca.key": test.key, "serving.crt": test.serving} {
				if data != nil {
					must(t, os.WriteFile(dir.Path(file), data, 0o600))
				}
			}
			former, err := dir.Former()
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error %v; want %q", err, test.err)
			}
			var authorities, copies []string
			for _, a := range former.Authorities {
				name := a.Certificate.Subject.CommonName
				if a.Key != nil {
					name += "*"
				}
				authorities = append(authorities, name)
			}
			for _, c := range former.Copy {
				copies = append(copies, c.Subject.CommonName)
			}
			if got := strings.Join(authorities, " "); got != test.authorities {
				t.Errorf("authorities %q; want %q", got, test.authorities)
			}
			if got := strings.Join(copies, " "); got != test.copies {
				t.Errorf("a copy of %q; want %q", got, test.copies)
			}
			for range 2 {
				must(t, dir.ForgetFormer())
			}
			if _, err := os.Stat(dir.Path("ca.key")); err == nil {
				t.Error("the key is still there")
			}
		})
	}
}

// TestKeyEncryptionKey makes the key once, and refuses any other text.
func TestKeyEncryptionKey(t *testing.T) {
	path := t.TempDir()
	dir := open(t, path)
	if key, err := dir.KeyEncryptionKey(); key != nil || err != nil {
		t.Errorf("a key that was not made: %v", err)
	}
	made, err := dir.MakeKeyEncryptionKey()
	must(t, err)
	if key, err := dir.KeyEncryptionKey(); err != nil || len(key) != 32 || !slices.Equal(key, made) {
		t.Errorf("the key comes back changed: %v", err)
	}
	if info, err := os.Stat(dir.Path("key-encryption.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	for name, text := range map[string]string{"empty": "", "short": "c2hvcnQ=", "raw": strings.Repeat("x", 32), "long": strings.Repeat("QUJD", 20)} {
		must(t, os.WriteFile(dir.Path("key-encryption.key"), []byte(text), 0o600))
		if _, err := dir.KeyEncryptionKey(); err == nil || !strings.Contains(err.Error(), "key-encryption.key does not hold 32 bytes in base64: put it back from a backup") {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, os.Chmod(dir.Path("key-encryption.key"), 0o644))
	must(t, dir.Close())
	if _, err := datadir.Open(path); err == nil || !strings.Contains(err.Error(), "key-encryption.key can be read by others") {
		t.Errorf("a key that others can read: %v", err)
	}
}
