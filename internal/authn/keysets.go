package authn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"

	"github.com/mintmark/mintmark/internal/outbound"
)

// keySets is a transport to an issuer that takes out of a JSON Web Key Set the keys that can check no token: keys of other
// types, damaged ones, private ones. RFC 7517 section 5 has them ignored. The library would refuse the whole set because
// of one of them, and with it all tokens of the issuer.
type keySets struct {
	base http.RoundTripper

	mu sync.Mutex
	// at holds, by the URL of a discovery document, the URL of the key set that it names.
	at map[string]string
}

func newKeySets(base http.RoundTripper) *keySets {
	return &keySets{base: base, at: map[string]string{}}
}

// RoundTrip reads a document. Answers that are neither a discovery document nor a key set pass as they are.
func (k *keySets) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := k.base.RoundTrip(request)
	if err != nil || request.Method != http.MethodGet || response.StatusCode != http.StatusOK || request.Header.Get("Authorization") != "" {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	if at := request.URL.String(); k.isKeySet(at) {
		body, err = usableKeys(body)
	} else {
		err = k.noteKeySet(at, body)
	}
	if err != nil {
		return nil, err
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response.Header.Del("Content-Length")
	return response, nil
}

func (k *keySets) isKeySet(at string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Contains(slices.Collect(maps.Values(k.at)), at)
}

// noteKeySet remembers where the key set is, if the body is a discovery document.
func (k *keySets) noteKeySet(at string, body []byte) error {
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if json.Unmarshal(body, &document) != nil || document.JWKSURI == "" {
		return nil
	}
	location, err := url.Parse(document.JWKSURI)
	if err != nil {
		return errors.New("the discovery document has a jwks_uri that is not a URL")
	}
	// The library quotes both.
	if outbound.Shorten(document.Issuer) != document.Issuer || outbound.Shorten(document.JWKSURI) != document.JWKSURI {
		return errors.New("the discovery document has an issuer or a jwks_uri that is too long")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.at[at]; known || len(k.at) < maxDocuments {
		k.at[at] = location.String()
	}
	return nil
}

// usableKeys returns a key set with those keys of a key set that can check tokens, in their order.
func usableKeys(body []byte) ([]byte, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the key set is not a JSON Web Key Set")
	}
	usable := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	ignored := map[string]int{}
	for _, raw := range set.Keys {
		key, why := usableKey(raw)
		if why != "" {
			ignored[why]++
			continue
		}
		usable.Keys = append(usable.Keys, key)
	}
	if len(usable.Keys) > 0 {
		return json.Marshal(usable)
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
	switch key.Key.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey:
		if !key.Valid() {
			return key, "that can't be read"
		}
		return jose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: key.Algorithm, Use: key.Use}, ""
	}
	return key, "private, symmetric or of another type"
}
