package trustedissuer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/mintmark/mintmark/internal/foreigntoken"
	"github.com/mintmark/mintmark/internal/outbound"
)

// wellKnown is where the discovery document is, below the issuer (OpenID Connect Discovery 1.0 section 4).
const wellKnown = "/.well-known/openid-configuration"

// readWith reads the keys from where the object says that they are. Where a discovery document has said where the key set is, the
// document is read again only if that fails.
func (k *keys) readWith(ctx context.Context, client Client) ([]jose.JSONWebKey, error) {
	spec := &k.object.Spec
	if spec.JWKSURI != "" {
		return readKeySet(ctx, client, spec.JWKSURI)
	}
	k.mu.Lock()
	location := k.location
	k.mu.Unlock()
	if location != "" {
		if found, err := readKeySet(ctx, client, location); err == nil {
			return found, nil
		}
	}
	discovery := spec.DiscoveryURL
	if discovery == "" {
		discovery = strings.TrimSuffix(spec.URL, "/") + wellKnown
	}
	location, err := discover(ctx, client, discovery, spec.URL)
	if err != nil {
		return nil, err
	}
	found, err := readKeySet(ctx, client, location)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.location = location
	k.mu.Unlock()
	return found, nil
}

// discover returns the place of the key set of an issuer from its discovery document, which must be that issuer's.
func discover(ctx context.Context, client Client, at, issuer string) (string, error) {
	body, err := get(ctx, client, at, "the discovery document")
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	switch {
	case json.Unmarshal(body, &document) != nil:
		return "", fmt.Errorf("the discovery document at %s is not JSON, or is none", at)
	case document.Issuer != issuer:
		return "", fmt.Errorf("the discovery document at %s is that of the issuer %s, not of %s", at, outbound.Shorten(document.Issuer), issuer)
	case document.JWKSURI == "":
		return "", fmt.Errorf("the discovery document at %s has no jwks_uri", at)
	case len(document.JWKSURI) > maxText:
		return "", fmt.Errorf("the discovery document at %s has a jwks_uri that is too long", at)
	}
	if _, err := url.Parse(document.JWKSURI); err != nil {
		return "", fmt.Errorf("the discovery document at %s has a jwks_uri that is not a URL", at)
	}
	return document.JWKSURI, nil
}

func readKeySet(ctx context.Context, client Client, at string) ([]jose.JSONWebKey, error) {
	body, err := get(ctx, client, at, "the key set")
	if err != nil {
		return nil, err
	}
	found, err := foreigntoken.Keys(body, maxKeys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return found, nil
}

// get reads a document. The client bounds its length and the time.
func get(ctx context.Context, client Client, at, what string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", what, outbound.ShortenError(err))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s at %s can't be read: %w", what, at, err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s at %s can't be read: the server answers %d", what, at, response.StatusCode)
	}
	return body, nil
}
