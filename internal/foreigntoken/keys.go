package foreigntoken

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/mintmark/mintmark/internal/outbound"
)

// maxModulus is the longest modulus, in bits, of an RSA key that is used. The time that a signature takes to be checked grows with its
// square, and a key set may hold one of a million bits. It is the bound of crypto/tls (CVE-2023-29409).
const maxModulus = 8192

// Keys returns those keys of a JSON Web Key Set that can check tokens, in their order. Keys of other types, damaged, private and
// very long ones are left out, as RFC 7517 section 5 has it. A set of more than most keys is refused before any of them is read; 0 is
// any number.
func Keys(body []byte, most int) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the key set is not a JSON Web Key Set")
	}
	if most > 0 && len(set.Keys) > most {
		return nil, fmt.Errorf("the key set has %d keys, and at most %d are read", len(set.Keys), most)
	}
	usable := []jose.JSONWebKey{}
	ignored := map[string]int{}
	for _, raw := range set.Keys {
		key, why := usableKey(raw)
		if why != "" {
			ignored[why]++
			continue
		}
		usable = append(usable, key)
	}
	if len(usable) > 0 {
		return usable, nil
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("the key set has no keys")
	}
	var reasons []string
	for _, why := range slices.Sorted(maps.Keys(ignored)) {
		reasons = append(reasons, fmt.Sprintf("%d %s", ignored[why], why))
	}
	return nil, fmt.Errorf("the key set has no usable key, which is a public RSA or EC key (P-256, P-384, P-521): %s", outbound.Shorten(strings.Join(reasons, ", ")))
}

// usableKey returns a key that can check tokens, without its certificates, or why it is none.
func usableKey(raw json.RawMessage) (jose.JSONWebKey, string) {
	var key jose.JSONWebKey
	if err := json.Unmarshal(raw, &key); err != nil {
		var named struct {
			Type  string `json:"kty"`
			Curve string `json:"crv"`
		}
		if json.Unmarshal(raw, &named) != nil {
			return key, "that can't be read"
		}
		return key, fmt.Sprintf("not understood (kty %.20q, crv %.20q)", named.Type, named.Curve)
	}
	switch public := key.Key.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey:
		if !key.Valid() {
			return key, "that can't be read"
		}
		if long, ok := public.(*rsa.PublicKey); ok && long.N.BitLen() > maxModulus {
			return key, fmt.Sprintf("of more than %d bits", maxModulus)
		}
		return jose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: key.Algorithm, Use: key.Use}, ""
	}
	return key, "private, symmetric or of another type"
}
