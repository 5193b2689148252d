package tokenreview_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/tokenreview"
)

// documents are the issuer's documents, with keys that a test adds.
type documents struct {
	mu      sync.Mutex
	private map[string]*ecdsa.PrivateKey
	set     jose.JSONWebKeySet
	reads   int
	away    bool
	bearers []string
}

func (d *documents) add(t *testing.T, id string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.private == nil {
		d.private = map[string]*ecdsa.PrivateKey{}
	}
	d.private[id] = key
	d.set.Keys = append(d.set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: "ES256", Use: "sig"})
}

func (d *documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bearers = append(d.bearers, r.Header.Get("Authorization"))
	switch {
	case d.away:
		http.Error(w, "away", http.StatusServiceUnavailable)
	case strings.HasSuffix(r.URL.Path, "openid-configuration"):
		fmt.Fprintf(w, `{"issuer":%q}`, fakeIssuer)
	default:
		d.reads++
		_ = json.NewEncoder(w).Encode(d.set)
	}
}

// sign returns a token that the key of an id has signed, and that names a key.
func (d *documents) sign(t *testing.T, id, named string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: d.private[id], KeyID: named}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := json.Marshal(claims)
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, _ := signed.CompactSerialize()
	return token
}

// TestKeys sends made-up tokens to a client that checks signatures. None makes a review, however many there are; good tokens do.
func TestKeys(t *testing.T) {
	t.Parallel()
	f, clock, d := newFake(t), &hours{}, &documents{}
	d.add(t, "one")
	f.Config.Handler.(*http.ServeMux).Handle("GET /", d)
	client := f.client(tokenreview.Config{Keys: &tokenreview.Keys{}, Now: clock.now, FailureTTL: -1})
	claims := map[string]any{"iss": fakeIssuer, "exp": time.Now().Add(time.Hour).Unix()}
	good := d.sign(t, "one", "one", claims)
	f.allow(good, account("app"))
	if who, err := ask(t, client, good); who == "" || f.count() != 1 {
		t.Fatalf("a good token: %v", err)
	}
	for name, token := range map[string]string{
		"signature":   good[:len(good)-4] + "AAAA",
		"payload":     jwt(claims),
		"unknown key": d.sign(t, "one", "two", claims),
		"expired":     d.sign(t, "one", "one", map[string]any{"iss": fakeIssuer, "exp": time.Now().Add(-2 * time.Minute).Unix()}),
	} {
		for range 3 {
			if who, err := ask(t, client, token); who != "" || err == nil {
				t.Errorf("%s: %q, %v", name, who, err)
			}
		}
	}
	if got := f.count(); got != 1 || client.Stats().Refused != 12 {
		t.Errorf("%d reviews, %d refused without", got, client.Stats().Refused)
	}
	d.mu.Lock()
	if d.reads != 1 {
		t.Errorf("the keys were read %d times in a moment", d.reads)
	}
	d.mu.Unlock()
	// A new key is read when the pace allows it.
	d.add(t, "two")
	next := d.sign(t, "two", "two", claims)
	f.allow(next, account("app"))
	clock.pass(11 * time.Second)
	if who, err := ask(t, client, next); who == "" {
		t.Errorf("a token of a new key: %v", err)
	}
	// Other tokens are the server's to decide about, unless there are to be none.
	for _, token := range []string{"opaque", jwt(map[string]any{"iss": "https://other.example"})} {
		f.allow(token, account("app"))
		if who, err := ask(t, client, token); who == "" {
			t.Errorf("%s: %v", token, err)
		}
	}
	only := f.client(tokenreview.Config{Keys: &tokenreview.Keys{OnlyIssuer: true}})
	if who, err := ask(t, only, "opaque"); who != "" || err == nil {
		t.Errorf("another issuer's token: %q", who)
	}
}

// TestKeysAway has no keys: tokens are reviewed. A set that is elsewhere gets no credentials.
func TestKeysAway(t *testing.T) {
	t.Parallel()
	f, d := newFake(t), &documents{away: true}
	elsewhere := httptest.NewServer(d)
	defer elsewhere.Close()
	f.allow("token", account("app"))
	client := f.client(tokenreview.Config{
		Server: &rest.Config{Host: f.URL, BearerToken: "own"}, Keys: &tokenreview.Keys{Issuer: fakeIssuer, URL: elsewhere.URL, OnlyIssuer: true},
	})
	if who, err := ask(t, client, "token"); who == "" {
		t.Errorf("the keys are away: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.bearers) != 1 || d.bearers[0] != "" {
		t.Errorf("the keys were asked for with %q", d.bearers)
	}
}
