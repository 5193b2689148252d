package signingkey

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"os"
)

// minRSABits is the shortest RSA key that may sign (NIST SP 800-131A).
const minRSABits = 2048

// LoadPrivateKey reads the private key of a PEM file: SEC 1, PKCS #1 or PKCS #8. The file may also hold the key's public
// half and its certificate, but no other key: a second key would be left out in silence.
func LoadPrivateKey(path string) (crypto.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found, err := readFileKeys(text, path, "a valid RSA or ECDSA private key")
	if err != nil {
		return nil, err
	}
	return privateOf(found, path)
}

// readFileKeys returns the keys of a file. Files take the keys that kube-apiserver takes, which Ed25519 is not among.
func readFileKeys(text []byte, path, wanted string) ([]fileKey, error) {
	found, err := readKeys(text, path, wanted)
	for _, key := range found {
		if _, ok := key.public.(ed25519.PublicKey); ok {
			return nil, fmt.Errorf("%s: %s %w", path, key.where, unusable("an Ed25519 key"))
		}
	}
	return found, err
}

// privateOf returns the one private key among the keys of a text.
func privateOf(found []fileKey, path string) (crypto.Signer, error) {
	var private *fileKey
	for i := range found {
		switch {
		case found[i].private == nil:
		case private != nil:
			return nil, fmt.Errorf("%s holds two private keys (%s and %s), and only one can sign: leave the other out; "+
				"--service-account-key-file takes keys whose tokens are to be accepted still", path, private.where, found[i].where)
		default:
			private = &found[i]
		}
	}
	if private == nil {
		return nil, fmt.Errorf("%s holds a public key only (%s): the private key is needed to sign", path, found[0].where)
	}
	for _, other := range found {
		if !sameKey(other.public, private.public) {
			return nil, fmt.Errorf("%s holds a key (%s) that is not the public half of the private one (%s): leave it out", path, other.where, private.where)
		}
	}
	if key, ok := private.private.(*rsa.PrivateKey); ok && key.N.BitLen() < minRSABits {
		return nil, fmt.Errorf("the RSA key in %s has %d bits; at least %d are needed: make a new key", path, key.N.BitLen(), minRSABits)
	}
	return private.private, nil
}

// publicOf returns the public halves of keys, each once.
func publicOf(found []fileKey) []crypto.PublicKey {
	var public []crypto.PublicKey
next:
	for _, key := range found {
		for _, known := range public {
			if sameKey(known, key.public) {
				continue next
			}
		}
		public = append(public, key.public)
	}
	return public
}

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface {
		Equal(other crypto.PublicKey) bool
	})
	return ok && key.Equal(b)
}
