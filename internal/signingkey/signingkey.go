// Package signingkey holds the keys that sign service account tokens, signs and checks with them, and publishes their
// public halves as a JSON Web Key Set (RFC 7517).
package signingkey

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for those that end in 384 and 512
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Signer signs tokens with one private key. It is safe for concurrent use.
type Signer struct {
	key       crypto.Signer
	id        string
	algorithm string
	// header is the JOSE header in its final encoding, with the dot behind it, and jwtHeader the same with a typ.
	header, jwtHeader string
}

// NewSigner returns the signer for an RSA key, an ECDSA key on P-256, P-384 or P-521, or an Ed25519 key.
func NewSigner(key crypto.Signer) (*Signer, error) {
	algorithm, err := algorithmFor(key.Public())
	if err != nil {
		return nil, err
	}
	id, err := KeyID(key.Public())
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
	}{algorithm, id})
	if err != nil {
		return nil, err
	}
	jwtHeader := append(header[:len(header)-1:len(header)-1], `,"typ":"JWT"}`...)
	return &Signer{key: key, id: id, algorithm: algorithm, header: encode(header) + ".", jwtHeader: encode(jwtHeader) + "."}, nil
}

// Public returns the public half of the signing key.
func (s *Signer) Public() crypto.PublicKey { return s.key.Public() }

// KeyID is the id of the signing key.
func (s *Signer) KeyID() string { return s.id }

// Sign returns the token, in JWS compact serialization (RFC 7515 section 7.1), that carries the claims.
func (s *Signer) Sign(_ context.Context, claims []byte) (string, error) {
	return s.signWith(s.header, claims)
}

// SignJWT returns the same token with "typ": "JWT" in its header.
func (s *Signer) SignJWT(_ context.Context, claims []byte) (string, error) {
	return s.signWith(s.jwtHeader, claims)
}

func (s *Signer) signWith(header string, claims []byte) (string, error) {
	encoding := base64.RawURLEncoding
	token := make([]byte, 0, len(header)+encoding.EncodedLen(len(claims))+1+encoding.EncodedLen(s.signatureSize()))
	token = append(token, header...)
	token = encoding.AppendEncode(token, claims)
	signature, err := s.signature(token)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	token = append(token, '.')
	return string(encoding.AppendEncode(token, signature)), nil
}

func (s *Signer) signatureSize() int {
	switch key := s.key.Public().(type) {
	case *ecdsa.PublicKey:
		return 2 * coordinateSize(key.Curve)
	case *rsa.PublicKey:
		return key.Size()
	case ed25519.PublicKey:
		return ed25519.SignatureSize
	}
	return 0
}

func (s *Signer) signature(signed []byte) ([]byte, error) {
	if key, ok := s.key.(ed25519.PrivateKey); ok {
		return ed25519.Sign(key, signed), nil
	}
	hash := algorithms[s.algorithm].hash
	digest := sum(hash, signed)
	key, ok := s.key.(*ecdsa.PrivateKey)
	if !ok {
		return s.key.Sign(rand.Reader, digest, hash)
	}
	// JWS wants r and s side by side, each as long as the curve's order (RFC 7518 section 3.4), not ASN.1.
	r, t, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		return nil, err
	}
	size := coordinateSize(key.Curve)
	raw := make([]byte, 2*size)
	r.FillBytes(raw[:size])
	t.FillBytes(raw[size:])
	return raw, nil
}

// KeyID derives the id of a key from the key alone: the unpadded base64url of the SHA-256 of its PKIX encoding. So
// every replica names a key alike, and a key id can't point to anything but its key.
func KeyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("failed to serialize public key to DER format: %w", err)
	}
	return encode(sum(crypto.SHA256, der)), nil
}

// algorithmFor returns the one algorithm that a key signs with.
func algorithmFor(public crypto.PublicKey) (string, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return "RS256", nil
	case *ecdsa.PublicKey:
		for name, a := range algorithms {
			if a.curve != nil && a.curve == key.Curve {
				return name, nil
			}
		}
		return "", errors.New("unknown private key curve, must be 256, 384, or 521")
	case ed25519.PublicKey:
		return EdDSA, nil
	default:
		return "", fmt.Errorf("unknown private key type %T, must be *rsa.PrivateKey, *ecdsa.PrivateKey, or jose.OpaqueSigner", public)
	}
}

func coordinateSize(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }

func sum(hash crypto.Hash, data []byte) []byte {
	if hash == crypto.SHA256 {
		digest := sha256.Sum256(data)
		return digest[:]
	}
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// usualText is a length within which what is signed usually is.
const usualText = 2 << 10

func sumText(hash crypto.Hash, text string) []byte {
	var stack [usualText]byte
	if hash == crypto.SHA256 {
		digest := sha256.Sum256(append(stack[:0], text...))
		return digest[:]
	}
	return sum(hash, []byte(text))
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
