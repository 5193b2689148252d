package signingkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"slices"
	"strings"
	"sync/atomic"

	k8smetrics "k8s.io/component-base/metrics"

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
	eddsa bool           // Ed25519 (RFC 8037), which hashes by itself
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
	EdDSA:   {eddsa: true},
}

// Key is a public key that checks tokens.
type Key struct {
	id     string
	public crypto.PublicKey
	// p256 is the key with its multiples, once they are made; without them crypto/ecdsa checks.
	p256      atomic.Pointer[p256]
	withdrawn atomic.Bool
	// signed counts the tokens that the process has signed with the key.
	signed k8smetrics.CounterMetric
}

// Withdrawn reports whether the key's tokens are no longer accepted. A key that was withdrawn stays so: if it is accepted
// again, that is another Key.
func (k *Key) Withdrawn() bool { return k.withdrawn.Load() }

// KeySet is a set of keys whose tokens are accepted, in the order of publication. It does not change.
type KeySet struct {
	keys, published []*Key
	byID            map[string][]*Key
}

// succeededBy returns the set of other keys. A key that is in both sets is the same Key.
func (s *KeySet) succeededBy(keys []PublicKey) *KeySet {
	next := &KeySet{byID: map[string][]*Key{}}
	for i := range keys {
		given := &keys[i]
		same := func(k *Key) bool { return sameKey(k.public, given.Public) }
		var key *Key
		for _, known := range [][]*Key{next.byID[given.ID], s.byID[given.ID]} {
			if at := slices.IndexFunc(known, same); key == nil && at >= 0 {
				key = known[at]
			}
		}
		if key == nil {
			key = &Key{id: given.ID, public: given.Public, signed: metrics.Signed.WithLabelValues(given.ID)}
		}
		next.keys = append(next.keys, key)
		next.byID[given.ID] = append(next.byID[given.ID], key)
		if !given.Hidden {
			next.published = append(next.published, key)
		}
	}
	return next
}

// withdraw marks the keys that are not in the next set.
func (s *KeySet) withdraw(next *KeySet) {
	for _, key := range s.keys {
		if !slices.Contains(next.byID[key.id], key) {
			key.withdrawn.Store(true)
		}
	}
}

// maxTables is how many keys have multiples, which take 260 kB each: the first ones, which are used the most.
const maxTables = 32

// makeTables makes the multiples of the keys that lack them.
func (s *KeySet) makeTables() {
	for i, key := range s.keys {
		public, ok := key.public.(*ecdsa.PublicKey)
		switch {
		case i >= maxTables:
			key.p256.Store(nil)
		case ok && key.p256.Load() == nil:
			key.p256.Store(newP256(public))
		}
	}
}

// Holds reports whether a token that names this key id could be accepted.
func (s *KeySet) Holds(id string) bool { return id == "" || len(s.byID[id]) > 0 }

// KeyIDs returns the ids of the keys.
func (s *KeySet) KeyIDs() []string {
	ids := make([]string, 0, len(s.keys))
	for _, key := range s.keys {
		ids = append(ids, key.id)
	}
	return ids
}

// KeyIDs returns the ids of the keys whose tokens are accepted now.
func (r *Ring) KeyIDs() []string { return r.fresh().set.KeyIDs() }

// Verify returns the key that made the signature.
func (s *KeySet) Verify(algorithm, id, signed, signature string) (*Key, error) {
	keys := s.keys
	if id != "" {
		keys = s.byID[id]
	}
	if len(keys) == 0 {
		return nil, errNoKey
	}
	refused := errAlgorithm
	for _, k := range keys {
		if k.verify(algorithm, signed, signature) {
			return k, nil
		}
		if k.signs(algorithm) {
			refused = errSignature
		}
	}
	return nil, refused
}

// signs reports whether the key is for an algorithm.
func (k *Key) signs(name string) bool {
	a, ok := algorithms[name]
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		return ok && a.curve == public.Curve
	case *rsa.PublicKey:
		return ok && a.curve == nil && !a.eddsa
	case ed25519.PublicKey:
		return ok && a.eddsa
	}
	return false
}

// verify reports whether the key made the signature. The algorithm is what the token says; it has to be one that the
// key is for.
func (k *Key) verify(name, signed, signature string) bool {
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
		if p := k.p256.Load(); p != nil {
			return p.verify(digest, signature)
		}
		return verifyECDSA(public, digest, signature)
	case *rsa.PublicKey:
		if a.curve != nil || a.eddsa {
			return false
		}
		switch digest := sumText(a.hash, signed); {
		case a.pss:
			return rsa.VerifyPSS(public, a.hash, digest, []byte(signature), nil) == nil
		default:
			return rsa.VerifyPKCS1v15(public, a.hash, digest, []byte(signature)) == nil
		}
	case ed25519.PublicKey:
		return a.eddsa && len(signature) == ed25519.SignatureSize && ed25519.Verify(public, []byte(signed), []byte(signature))
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
