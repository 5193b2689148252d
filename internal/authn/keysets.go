package authn

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"

	"github.com/mintmark/mintmark/internal/foreigntoken"
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

// usableKeys returns a key set with those keys of a key set that can check tokens.
func usableKeys(body []byte) ([]byte, error) {
	keys, err := foreigntoken.Keys(body, 0)
	if err != nil {
		return nil, err
	}
	return json.Marshal(jose.JSONWebKeySet{Keys: keys})
}
