package signingkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/internal/datadir"
)

// minRSABits is the shortest RSA key that may sign (NIST SP 800-131A).
const minRSABits = 2048

// LoadPrivateKey reads the first private key of a PEM file: SEC 1, PKCS #1 or PKCS #8.
func LoadPrivateKey(path string) (crypto.Signer, error) {
	found, err := keyutil.PrivateKeyFromFile(path)
	if err != nil {
		return nil, err
	}
	key, ok := found.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds a %T, which can't sign", path, found)
	}
	if key, ok := key.(*rsa.PrivateKey); ok && key.N.BitLen() < minRSABits {
		return nil, fmt.Errorf("the RSA key in %s has %d bits; at least %d are needed: make a new key", path, key.N.BitLen(), minRSABits)
	}
	return key, nil
}

// LoadPublicKeys reads all keys of a PEM file: public keys, certificates, and the public halves of private keys.
func LoadPublicKeys(path string) ([]crypto.PublicKey, error) {
	found, err := keyutil.PublicKeysFromFile(path)
	if err != nil {
		return nil, err
	}
	public := make([]crypto.PublicKey, len(found))
	for i := range found {
		public[i] = found[i]
	}
	return public, nil
}

// LoadOrCreate reads the private key in a file, or makes a P-256 key and the file. It reports whether it made one.
func LoadOrCreate(path string) (key crypto.Signer, created bool, err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		key, err := LoadPrivateKey(path)
		return key, false, err
	}
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, false, fmt.Errorf("making a signing key: %w", err)
	}
	pem, err := keyutil.MarshalPrivateKeyToPEM(made)
	if err != nil {
		return nil, false, fmt.Errorf("encoding the signing key: %w", err)
	}
	if err := datadir.WriteFile(path, pem, 0o600); err != nil {
		return nil, false, fmt.Errorf("storing the signing key: %w", err)
	}
	return made, true, nil
}
