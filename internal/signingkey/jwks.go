package signingkey

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Paths of the issuer's documents. kube-apiserver has them there, too.
const (
	// ConfigurationPath is where the discovery document is (OpenID Connect Discovery 1.0 section 4).
	ConfigurationPath = "/.well-known/openid-configuration"
	// KeySetPath is where the key set is that it names.
	KeySetPath = "/openid/v1/jwks"
)

// Published is the key set as relying parties see it.
type Published struct {
	// KeySet is the JSON Web Key Set.
	KeySet []byte
	// Algorithms are those of the keys, sorted, each once.
	Algorithms []string
}

// Publish renders the set. A key that can't be expressed makes the whole fail: a relying party that is shown only some
// of the keys would refuse good tokens.
func (s *KeySet) Publish() (Published, error) {
	if len(s.keys) == 0 {
		return Published{}, errors.New("no keys provided for validating keyset")
	}
	var set jose.JSONWebKeySet
	var p Published
	for i, k := range s.keys {
		name, err := algorithmFor(k.public)
		if err != nil {
			return Published{}, fmt.Errorf("error constructing JWK for key #%d: %w", i, err)
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.public, KeyID: k.id, Algorithm: name, Use: "sig"})
		p.Algorithms = append(p.Algorithms, name)
	}
	slices.Sort(p.Algorithms)
	p.Algorithms = slices.Compact(p.Algorithms)
	var err error
	p.KeySet, err = json.Marshal(set)
	return p, err
}
