package externalsignertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // of RS256 and ES256
	_ "crypto/sha512" // of ES384 and ES512
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	externaljwtv1 "k8s.io/externaljwt/apis/v1"
)

// verify returns an error unless the signature is that of the key that the header names.
func (m *signed) verify(keys *externaljwtv1.FetchKeysResponse) error {
	h, err := m.header()
	if err != nil {
		return skipped("the header can't be read")
	}
	key, err := keyOf(keys, h.KeyID)
	if err != nil {
		return err
	}
	if m.Signature == "" {
		return errors.New("it is empty")
	}
	signature, err := decode(m.Signature)
	if err != nil {
		return err
	}
	hash, known := algorithms[h.Algorithm]
	if !known || algorithmOf(key) != h.Algorithm {
		return skipped("alg is not the algorithm of the key")
	}
	digest := hash.New()
	digest.Write([]byte(m.Header + "." + m.claims))
	if !verifies(key, hash, digest.Sum(nil), signature) {
		return fmt.Errorf("the key %s did not make it", quote(h.KeyID))
	}
	return nil
}

var algorithms = map[string]crypto.Hash{"RS256": crypto.SHA256, "ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512}

// keyOf returns the public key with an id.
func keyOf(keys *externaljwtv1.FetchKeysResponse, id string) (crypto.PublicKey, error) {
	for _, key := range keys.GetKeys() {
		if key.GetKeyId() != id {
			continue
		}
		public, err := parseKey(key.GetKey())
		if err != nil {
			return nil, skipped("the key can't be read")
		}
		return public, nil
	}
	return nil, skipped("the key is not among those of FetchKeys")
}

// parseKey reads a public key as kube-apiserver does.
func parseKey(der []byte) (crypto.PublicKey, error) {
	if len(der) == 0 {
		return nil, errors.New("is empty")
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if block, _ := pem.Decode(der); err != nil && block != nil {
		return nil, errors.New("is PEM: DER is needed")
	}
	if err != nil {
		return nil, fmt.Errorf("is no PKIX public key: %w", err)
	}
	if algorithmOf(key) == "" {
		return nil, fmt.Errorf("is a %T that kube-apiserver can't use", key)
	}
	return key, nil
}

// algorithmOf returns the algorithm of a key, or nothing for a key that kube-apiserver can't use.
func algorithmOf(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return "RS256"
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return "ES256"
		case elliptic.P384():
			return "ES384"
		case elliptic.P521():
			return "ES512"
		}
	}
	return ""
}

// verifies reports whether a key made a signature. JWS has the two numbers of ECDSA side by side (RFC 7518 section 3.4).
func verifies(key crypto.PublicKey, hash crypto.Hash, digest, signature []byte) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		size := (key.Params().BitSize + 7) / 8
		return len(signature) == 2*size && ecdsa.Verify(key, digest, new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:]))
	}
	return false
}

// decode reads unpadded base64url, of which each text has one spelling.
func decode(text string) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	switch {
	case err == nil && !strings.ContainsAny(text, "\r\n"):
		return data, nil
	case strings.HasSuffix(text, "="):
		return nil, errors.New("it has padding")
	case strings.ContainsAny(text, "+/"):
		return nil, errors.New("it is base64, and not in the alphabet for URLs")
	}
	return nil, errors.New("it is no base64url, or its last character has bits that count for nothing")
}
