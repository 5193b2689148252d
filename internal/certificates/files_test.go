package certificates_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/certificates"
)

func encoded(t *testing.T, a certificates.Authority) (certificate, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(a.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// TestFiles: the authority in files is replaced when both have changed, and stays while they don't fit or can't be read.
func TestFiles(t *testing.T) {
	certificateFile, keyFile := filepath.Join(t.TempDir(), "ca.crt"), filepath.Join(t.TempDir(), "ca.key")
	put := func(file string, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := newAuthority(t, newKey(t), now.Add(year)), newAuthority(t, newKey(t), now.Add(2*year))
	certificate, key := encoded(t, first)
	put(certificateFile, certificate)
	put(keyFile, key)
	files, err := certificates.NewFiles(certificateFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, want certificates.Authority) {
		t.Helper()
		if got := files.Authority(t.Context()); !got.Certificate.Equal(want.Certificate) || !got.Key.Public().(*ecdsa.PublicKey).Equal(want.Key.Public()) {
			t.Errorf("%s: another authority", what)
		}
	}
	check("at first", first)
	newCertificate, newKey := encoded(t, second)
	put(certificateFile, newCertificate)
	check("with a new certificate and the old key", first)
	put(keyFile, newKey)
	check("with both new", second)
	put(keyFile, nil)
	check("with an empty key", second)
	if err := os.Remove(certificateFile); err != nil {
		t.Fatal(err)
	}
	check("without a certificate", second)

	put(keyFile, key)
	leaf, err := first.Sign(newCSR(t, nil), parsed(t, newCSR(t, nil)), year, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"two certificates": slices.Concat(certificate, newCertificate), "another's": newCertificate, "no authority": leaf, "nothing": nil,
	} {
		put(certificateFile, text)
		if _, err := certificates.NewFiles(certificateFile, keyFile); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
