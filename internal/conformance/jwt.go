package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for the algorithms that end in 384 and 512
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/client-go/util/keyutil"
)

var jwtShape = regexp.MustCompile(`^eyJ[\w-]*\.eyJ[\w-]*\.[\w-]*$`)

// decodeJWT reads header and claims without verifying anything.
func decodeJWT(token string) (header, claims map[string]any, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, errors.New("not a JWT")
	}
	if header, err = decodePart(parts[0]); err != nil {
		return nil, nil, err
	}
	claims, err = decodePart(parts[1])
	return header, claims, err
}

func decodePart(part string) (map[string]any, error) {
	raw, err := decode(part)
	if err != nil {
		return nil, err
	}
	v, err := decodeJSON(raw)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("a part of the JWT is not an object")
	}
	return object, nil
}

// readKey reads an RSA or EC private key from a PEM file.
func readKey(file string) (crypto.Signer, error) {
	key, err := keyutil.PrivateKeyFromFile(file)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: a key of type %T cannot sign", file, key)
	}
	return signer, nil
}

// keyID is the kid that Kubernetes gives a key: the SHA-256 of its PKIX form.
func keyID(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return encode(sum[:]), nil
}

// defaultAlgorithm is the one that Kubernetes signs with when it has this key.
func defaultAlgorithm(public crypto.PublicKey) string {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return "RS256"
	}
	switch key.Curve {
	case elliptic.P384():
		return "ES384"
	case elliptic.P521():
		return "ES512"
	}
	return "ES256"
}

var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// sign makes the signature of a JWS (RFC 7518, section 3). Libraries refuse the wrong signatures that scenarios need, such as an
// algorithm of another curve than the key's.
func sign(key crypto.Signer, algorithm, text string) (string, error) {
	family, size := algorithm[:min(2, len(algorithm))], algorithm[min(2, len(algorithm)):]
	hash, ok := hashes[size]
	if !ok {
		return "", fmt.Errorf("cannot sign with %q", algorithm)
	}
	h := hash.New()
	h.Write([]byte(text))
	digest := h.Sum(nil)
	ec, isEC := key.(*ecdsa.PrivateKey)
	_, isRSA := key.(*rsa.PrivateKey)
	switch {
	case isEC && family == "ES":
		r, s, err := ecdsa.Sign(rand.Reader, ec, digest)
		if err != nil {
			return "", err
		}
		half := (ec.Params().BitSize + 7) / 8
		raw := make([]byte, 2*half)
		r.FillBytes(raw[:half])
		s.FillBytes(raw[half:])
		return encode(raw), nil
	case isRSA && family == "RS":
		raw, err := key.Sign(rand.Reader, digest, hash)
		return encode(raw), err
	case isRSA && family == "PS":
		raw, err := key.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash})
		return encode(raw), err
	}
	return "", fmt.Errorf("a key of type %T cannot sign with %s", key, algorithm)
}
