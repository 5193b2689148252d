package trustedissuer

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// mostTried is the most keys with which the signature of one token is tried.
const mostTried = 16

// key is a key of an issuer, as long as the issuer publishes it.
type key struct {
	id        string
	public    any
	withdrawn atomic.Bool
}

// keySet is what was read of an issuer's keys. It is not changed.
type keySet struct {
	keys []*key
	read time.Time
}

// find returns the keys that can have made a signature: those with the id, or all if there is no id.
func (s *keySet) find(id, algorithm string) (found []*key) {
	for _, k := range s.keys {
		if (id == "" || k.id == id) && signsWith(k.public, algorithm) {
			if found = append(found, k); len(found) == mostTried {
				break
			}
		}
	}
	return found
}

// signsWith reports whether a key makes signatures with an algorithm (RFC 7518 section 3.1).
func signsWith(public any, algorithm string) bool {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return algorithm[0] == 'R' || algorithm[0] == 'P'
	case *ecdsa.PublicKey:
		switch public.Curve.Params().BitSize {
		case 256:
			return algorithm == string(jose.ES256)
		case 384:
			return algorithm == string(jose.ES384)
		case 521:
			return algorithm == string(jose.ES512)
		}
	}
	return false
}

// same returns the key as it was known, or a new one.
func (s *keySet) same(read jose.JSONWebKey) *key {
	for _, k := range s.keys {
		if k.id == read.KeyID && equal(k.public, read.Key) {
			return k
		}
	}
	return &key{id: read.KeyID, public: read.Key}
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case *rsa.PublicKey:
		other, ok := b.(*rsa.PublicKey)
		return ok && a.Equal(other)
	case *ecdsa.PublicKey:
		other, ok := b.(*ecdsa.PublicKey)
		return ok && a.Equal(other)
	}
	return false
}

// ids returns the ids of the keys.
func (s *keySet) ids() []string {
	ids := make([]string, len(s.keys))
	for i, k := range s.keys {
		ids[i] = k.id
	}
	return ids
}
