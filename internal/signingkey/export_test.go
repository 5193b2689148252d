package signingkey

import (
	"crypto"
	"os"
)

// LoadPublicKeys reads all keys of a PEM file, each once: public keys, the keys of certificates, and the public halves of
// private keys.
func LoadPublicKeys(path string) ([]crypto.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found, err := readFileKeys(text, path, "any valid RSA or ECDSA public keys")
	if err != nil {
		return nil, err
	}
	return publicOf(found), nil
}
