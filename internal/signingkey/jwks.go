package signingkey

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Paths of the issuer's documents. kube-apiserver has them there, too.
const (
	// ConfigurationPath is where the discovery document is (OpenID Connect Discovery 1.0 section 4).
	ConfigurationPath = "/.well-known/openid-configuration"
	// KeySetPath is where the key set is that it names.
	KeySetPath = "/openid/v1/jwks"
)

// Published is the key set as relying parties see it. It does not change.
type Published struct {
	// KeySet is the JSON Web Key Set.
	KeySet []byte
	// Algorithms are those of the keys, sorted, each once.
	Algorithms []string
	// MaxAge is how long it may be kept, in whole seconds.
	MaxAge time.Duration
	// FreshUntil is until when it may be kept at the latest; zero for no such time.
	FreshUntil time.Time

	keys []*Key
}

// newPublished renders keys. A key that can't be expressed makes the whole fail: a relying party that is shown only some of
// the keys would refuse good tokens.
func newPublished(keys []*Key, maxAge time.Duration) (*Published, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	p := &Published{MaxAge: maxAge, keys: keys, Algorithms: []string{}}
	for i, k := range keys {
		name, err := algorithmFor(k.public)
		if err != nil {
			return nil, fmt.Errorf("error constructing JWK for key #%d: %w", i, err)
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
