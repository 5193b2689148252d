package signingkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"strings"
	"sync"

	"github.com/mintmark/mintmark/internal/reason"
)

var (
	// errNoKey says that the set has no key with the key id of a token. Clients match on the text.
	errNoKey = reason.New(reason.UnknownKey, "invalid signature, no keys found")
	// errSignature says that no key made the signature. The text is that of the library which kube-apiserver uses.
	errSignature = reason.New(reason.BadSignature, "go-jose/go-jose: error in cryptographic primitive")
	// errAlgorithm says the same of a token whose algorithm is that of none of the keys.
	errAlgorithm = reason.With(reason.AlgorithmNotAllowed, errSignature)
)

// algorithm is a way of signing (RFC 7518 section 3.1). The table below is the list of those that are checked at all:
// HMAC and "none" are not in it.
type algorithm struct {
	hash  crypto.Hash
	curve elliptic.Curve // of ECDSA
	pss   bool           // RSASSA-PSS rather than PKCS #1 v1.5
}

var algorithms = map[string]algorithm{
	"ES256": {hash: crypto.SHA256, curve: elliptic.P256()},
	"ES384": {hash: crypto.SHA384, curve: elliptic.P384()},
	"ES512": {hash: crypto.SHA512, curve: elliptic.P521()},
	"RS256": {hash: crypto.SHA256},
	"RS384": {hash: crypto.SHA384},
	"RS512": {hash: crypto.SHA512},
	"PS256": {hash: crypto.SHA256, pss: true},
	"PS384": {hash: crypto.SHA384, pss: true},
	"PS512": {hash: crypto.SHA512, pss: true},
}

// key is a public key that checks tokens.
type key struct {
	id     string
	public crypto.PublicKey
	// p256 returns the key with its multiples, which are made when they are first needed; nil if crypto/ecdsa is to check.
	p256 func() *p256
}

// KeySet is the set of keys whose tokens are accepted, in the order of configuration. It does not change.
type KeySet struct {
	keys []key
	byID map[string][]key
}

// NewKeySet returns the set of the given public keys.
func NewKeySet(public []crypto.PublicKey) (*KeySet, error) {
	set := &KeySet{byID: map[string][]key{}}
	for _, p := range public {
		id, err := KeyID(p)
		if err != nil {
			return nil, err
		}
		k := key{id: id, public: p}
		if ec, ok := p.(*ecdsa.PublicKey); ok {
			k.p256 = sync.OnceValue(func() *p256 { return newP256(ec) })
		}
		set.keys = append(set.keys, k)
		set.byID[id] = append(set.byID[id], k)
	}
	return set, nil
}

// Holds reports whether a token that names this key id could be accepted.
func (s *KeySet) Holds(id string) bool { return id == "" || len(s.byID[id]) > 0 }

// KeyIDs returns the ids of the keys.
func (s *KeySet) KeyIDs() []string {
	ids := make([]string, 0, len(s.keys))
	for _, k := range s.keys {
		ids = append(ids, k.id)
	}
	return ids
}

// Verify returns nil if one of the keys made the signature. A token that names a key is checked with that key alone;
// one that names none (an empty id) is checked with all.
func (s *KeySet) Verify(algorithm, id, signed, signature string) error {
	keys := s.keys
	if id != "" {
		keys = s.byID[id]
	}
	if len(keys) == 0 {
		return errNoKey
	}
	refused := errAlgorithm
	for _, k := range keys {
		if k.verify(algorithm, signed, signature) {
			return nil
		}
		if k.signs(algorithm) {
			refused = errSignature
		}
	}
	return refused
}

// signs reports whether the key is for an algorithm.
func (k *key) signs(name string) bool {
	a, ok := algorithms[name]
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		return ok && a.curve == public.Curve
	case *rsa.PublicKey:
		return ok && a.curve == nil
	}
	return false
}

// verify reports whether the key made the signature. The algorithm is what the token says; it has to be one that the
// key is for.
func (k *key) verify(name, signed, signature string) bool {
	a, ok := algorithms[name]
	if !ok {
		return false
	}
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if a.curve != public.Curve {
			return false
		}
		digest := sumText(a.hash, signed)
		if p := k.p256(); p != nil {
			return p.verify(digest, signature)
		}
		return verifyECDSA(public, digest, signature)
	case *rsa.PublicKey:
		switch digest := sumText(a.hash, signed); {
		case a.curve != nil:
			return false
		case a.pss:
			return rsa.VerifyPSS(public, a.hash, digest, []byte(signature), nil) == nil
		default:
			return rsa.VerifyPKCS1v15(public, a.hash, digest, []byte(signature)) == nil
		}
	}
	return false
}

func verifyECDSA(key *ecdsa.PublicKey, digest []byte, signature string) bool {
	size := coordinateSize(key.Curve)
	if len(signature) != 2*size {
		return false
	}
	der, ok := encodeSignature(signature[:size], signature[size:])
	return ok && ecdsa.VerifyASN1(key, digest, der)
}

// encodeSignature returns r and s, which JWS has side by side, as the ASN.1 (RFC 3279 section 2.2.3) that the standard
// library takes. Neither may be zero.
func encodeSignature(r, s string) ([]byte, bool) {
	r, s = strings.TrimLeft(r, "\x00"), strings.TrimLeft(s, "\x00")
	if r == "" || s == "" {
		return nil, false
	}
	length := 0
	for _, integer := range [...]string{r, s} {
		length += 2 + len(integer) + int(integer[0]>>7)
	}
	der := make([]byte, 0, 3+length)
	der = append(der, sequenceTag)
	if length > 0x7f {
		der = append(der, 0x81)
	}
	der = append(der, byte(length))
	for _, integer := range [...]string{r, s} {
		sign := integer[0] >> 7
		der = append(der, integerTag, byte(len(integer))+sign)
		if sign == 1 {
			der = append(der, 0) // it is positive
		}
		der = append(der, integer...)
	}
	return der, true
}

// Tags of ASN.1.
const integerTag, sequenceTag = 0x02, 0x30
