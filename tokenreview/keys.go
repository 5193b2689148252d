package tokenreview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	jwksPath      = "/openid/v1/jwks"
	// keysEvery is the least time between two reads of the keys.
	keysEvery = 10 * time.Second
	// keysTimeout bounds a read of the keys, and maxKeys its answer.
	keysTimeout, maxKeys = 5 * time.Second, 1 << 20
	// leeway is how long after its end the server may accept a token.
	leeway = time.Minute
)

// algorithms are those with which tokens are signed.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// The refusals of tokens without a review.
var (
	errOtherIssuer = errors.New("the token is of another issuer")
	errUnknownKey  = errors.New("the token names a key that its issuer does not have")
	errSignature   = errors.New("the signature of the token is not its issuer's")
	errEnded       = errors.New("the token has expired")
)

// keySet checks signatures with the keys of an issuer.
type keySet struct {
	Keys
	client *Client
	plain  *http.Client // for a URL elsewhere: it must not get the client's credentials

	mu     sync.Mutex
	read   int64 // when the keys were read last, 0 for never
	issuer string
	set    jose.JSONWebKeySet
	known  bool
	next   *flight // a read that is under way
}

func newKeySet(c *Client, keys Keys) *keySet {
	return &keySet{Keys: keys, client: c, issuer: keys.Issuer, plain: &http.Client{CheckRedirect: c.server.http.CheckRedirect}}
}

// check returns why a token is refused without a review; nil if it isn't.
func (k *keySet) check(ctx context.Context, token string) error {
	if !k.ready(ctx) {
		return nil // without keys the server decides
	}
	parsed, err := jose.ParseSignedCompact(token, algorithms)
	c, ok := readClaims(token)
	k.mu.Lock()
	issuer := k.issuer
	k.mu.Unlock()
	if err != nil || !ok || c.Issuer != issuer {
		switch {
		case k.OnlyIssuer:
			return errOtherIssuer
		case ok && c.Issuer == issuer:
			return errSignature // of an algorithm that no issuer uses
		}
		return nil
	}
	if end, ok := seconds(c.Expires); ok && k.client.cfg.Now().After(end.Add(leeway)) {
		return errEnded
	}
	keys := k.of(c.keyID)
	if len(keys) == 0 {
		if !k.fetch(ctx) {
			return nil
		}
		if keys = k.of(c.keyID); len(keys) == 0 {
			return errUnknownKey
		}
	}
	for i := range keys {
		if _, err := parsed.Verify(keys[i].Key); err == nil {
			return nil
		}
	}
	return errSignature
}

// of returns the keys of an id, or all for none.
func (k *keySet) of(id string) []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id == "" {
		return k.set.Keys
	}
	return k.set.Key(id)
}

// ready reports whether the keys are there, and has them read if they are not.
func (k *keySet) ready(ctx context.Context) bool {
	k.mu.Lock()
	known := k.known
	k.mu.Unlock()
	return known || k.fetch(ctx)
}

// fetch reads the keys unless they were read a moment ago. Callers share a read. It reports whether there are keys that are no older
// than that.
func (k *keySet) fetch(ctx context.Context) bool {
	k.mu.Lock()
	now := k.client.now()
	if k.read != 0 && now-k.read < int64(keysEvery) {
		defer k.mu.Unlock()
		return k.known
	}
	f := k.next
	if f == nil {
		f = &flight{done: make(chan struct{})}
		k.next = f
		go k.fill(f)
	}
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.err == nil
	case <-ctx.Done():
		return false
	}
}

// fill reads the keys.
func (k *keySet) fill(f *flight) {
	ctx, cancel := context.WithTimeout(k.client.context, keysTimeout)
	defer cancel()
	issuer, set, err := k.load(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read, k.next = max(1, k.client.now()), nil
	if err == nil {
		k.issuer, k.set, k.known = issuer, set, true
	} else {
		k.client.cfg.Log.Warn("The keys of the issuer can't be read; tokens are reviewed without a check of their signatures", "reason", err)
	}
	f.err = err
	close(f.done)
}

func (k *keySet) load(ctx context.Context) (issuer string, set jose.JSONWebKeySet, err error) {
	issuer = k.Issuer
	if issuer == "" {
		var document struct {
			Issuer string `json:"issuer"`
		}
		if err := get(ctx, k.client.server.http, k.client.server.path(discoveryPath), &document); err != nil {
			return "", set, err
		}
		if issuer = document.Issuer; issuer == "" {
			return "", set, errors.New("the discovery document names no issuer")
		}
	}
	client, url := k.client.server.http, k.client.server.path(jwksPath)
	if k.URL != "" {
		client, url = k.plain, k.URL
	}
	if err := get(ctx, client, url, &set); err != nil {
		return "", set, err
	}
	usable := set.Keys[:0]
	for _, key := range set.Keys {
		// A symmetric key would let a public text sign.
		if key.Valid() && key.IsPublic() && !strings.HasPrefix(key.Algorithm, "HS") && key.Use != "enc" {
			usable = append(usable, key)
		}
	}
	set.Keys = usable
	return issuer, set, nil
}

// get reads a JSON document.
func get(ctx context.Context, client *http.Client, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is answered with %d", url, response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxKeys))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
