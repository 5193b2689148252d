package authn

import (
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// Provider is a small OpenID Connect provider.
type Provider struct{ *provider }

// NewProvider runs a provider.
func NewProvider(t *testing.T) Provider { return Provider{newProvider(t)} }

// Configuration is the content of a file for --authentication-config that has the provider.
func (p Provider) Configuration() string { return configuration(bySubject, p.provider) }

// JWKS is the provider's key set.
func (p Provider) JWKS() string {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: p.keys})
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// Token signs the claims of a token that is good for an hour, but for what claims say.
func (p Provider) Token(claims map[string]any) string { return p.token(claims) }
