package main

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

const (
	es256 = "ES256"
	// coordinate is the length of each half of an ES256 signature (RFC 7518 section 3.4).
	coordinate = 32
)

// errNoJWT does not quote the text, which may be a token.
var errNoJWT = errors.New("the token is no JWT that could be taken apart")

// jwt is a service account token taken apart, for others to be made of it (RFC 7519, RFC 7515).
type jwt struct {
	header, claims map[string]json.RawMessage
	// signatureSize is how long the signature is, in bytes.
	signatureSize int
}

func parseJWT(token string) (*jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errNoJWT
	}
	j := &jwt{signatureSize: base64.RawURLEncoding.DecodedLen(len(parts[2]))}
	for i, members := range []*map[string]json.RawMessage{&j.header, &j.claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, members) != nil {
			return nil, errNoJWT
		}
	}
	return j, nil
}

// algorithm returns the alg of the header.
func (j *jwt) algorithm() string {
	var name string
	if json.Unmarshal(j.header["alg"], &name) != nil {
		return ""
	}
	return name
}

// renew gives the token a credential id that no other has.
func (j *jwt) renew() {
	j.claims["jti"] = text(rand.Text())
}

// text returns a JSON string. Its callers pass texts that need no escapes.
func text(s string) json.RawMessage { return json.RawMessage(`"` + s + `"`) }

// signed returns the signed part of a token: header and claims.
func (j *jwt) signed() (string, error) {
	header, err := json.Marshal(j.header)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(j.claims)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims), nil
}

// sign returns the token with a signature of the key.
func (j *jwt) sign(key *ecdsa.PrivateKey) (string, error) {
	signed, err := j.signed()
	if err != nil {
		return "", err
	}
	signature, err := signES256(key, signed)
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func signES256(key *ecdsa.PrivateKey, signed string) ([]byte, error) {
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 2*coordinate)
	r.FillBytes(signature[:coordinate])
	s.FillBytes(signature[coordinate:])
	return signature, nil
}

// forge returns the token with random bytes for a signature. They are in the range of a signature's numbers, whatever
// the algorithm, so that a verifier has to do all of its arithmetic to find out.
func (j *jwt) forge() (string, error) {
	signed, err := j.signed()
	if err != nil {
		return "", err
	}
	signature := make([]byte, j.signatureSize)
	if _, err := rand.Read(signature); err != nil {
		return "", err
	}
	for _, first := range []int{0, j.signatureSize / 2} {
		signature[first] &= 0x7f
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
