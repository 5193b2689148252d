package serviceaccount_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mintmark/mintmark/internal/serviceaccount"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// changingKeys are keys that change. Those of later come in when the store is asked.
type changingKeys struct {
	changed func()

	mu           sync.Mutex
	known, later []signingkey.PublicKey
	storeIsDown  bool
	lookups      int
}

func (k *changingKeys) Bind(changed func()) { k.changed = changed }

func (k *changingKeys) Contents(time.Time) (signingkey.Contents, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return signingkey.Contents{Keys: k.known}, nil
}

func (k *changingKeys) Find(context.Context, string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lookups++
	if k.storeIsDown {
		return &signingkey.Unavailable{Reason: "the store does not answer", Cause: errors.New("down")}
	}
	k.known, k.later = append(k.known, k.later...), nil
	k.changed()
	return nil
}

func (k *changingKeys) Run(context.Context) {}

// set replaces the keys.
func (k *changingKeys) set(t *testing.T, names ...string) {
	t.Helper()
	keys := publicKeys(t, names...)
	k.mu.Lock()
	k.known = keys
	k.mu.Unlock()
	k.changed()
}

func publicKeys(t *testing.T, names ...string) []signingkey.PublicKey {
	t.Helper()
	var keys []signingkey.PublicKey
	for _, name := range names {
		id, err := signingkey.KeyID(keyring()[name].Public())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, signingkey.PublicKey{ID: id, Public: keyring()[name].Public()})
	}
	return keys
}

// newChanging returns a server whose keys change.
func newChanging(t *testing.T, around func(*signingkey.Ring) serviceaccount.KeySet) (*server, *changingKeys) {
	t.Helper()
	keys := &changingKeys{}
	ring := signingkey.NewRing(keys, nil)
	return newServer(t, func(c *serviceaccount.Config) { c.Keys = around(ring) }), keys
}

func plainly(ring *signingkey.Ring) serviceaccount.KeySet { return ring }

// TestTokensOfWithdrawnKeys: a token that was verified is remembered only while its key is accepted, whatever its header says
// of the key, and is good again when the key is.
func TestTokensOfWithdrawnKeys(t *testing.T) {
	id := quote(keyring()["P-256"].id)
	for name, header := range map[string]string{
		"usual":                  goodHeader("P-256"),
		"no key id":              object(member{"alg", `"ES256"`}),
		"empty key id":           object(member{"alg", `"ES256"`}, member{"kid", `""`}),
		"unusual member":         object(member{"alg", `"ES256"`}, member{"kid", id}, member{"x", `{}`}),
		"unusual, no key id":     object(member{"alg", `"ES256"`}, member{"x", `[1]`}),
		"escaped key id":         object(member{"alg", `"\u0045S256"`}, member{"kid", id}),
		"white space and a type": ` { "typ" : "JWT", "alg" : "ES256" }`,
	} {
		s, keys := newChanging(t, plainly)
		token := sealed("P-256", header, goodClaims())
		for range 2 { // the order of steps must not matter for what is remembered
			keys.set(t, "P-256", "P-384")
			for range 2 {
				if got := s.review(token); got.Error != accepted {
					t.Errorf("%s: refused while its key is accepted: %s", name, got.Error)
				}
			}
			keys.set(t, "P-384")
			for range 2 {
				if got := s.review(token); got.Error != noKey && got.Error != badSignature {
					t.Errorf("%s: error %q when its key is withdrawn", name, got.Error)
				}
			}
		}
	}
}

// withdrawing withdraws the key after it has verified a signature, and before that is remembered.
type withdrawing struct {
	serviceaccount.KeySet
	after func()
}

func (w *withdrawing) Verify(algorithm, id, signed, signature string) (serviceaccount.Key, error) {
	key, err := w.KeySet.Verify(algorithm, id, signed, signature)
	w.after()
	return key, err
}

// TestTokenRememberedAfterItsKeyIsWithdrawn: a check that was under way when the key was withdrawn counts for nothing later.
func TestTokenRememberedAfterItsKeyIsWithdrawn(t *testing.T) {
	var hook *withdrawing
	s, keys := newChanging(t, func(ring *signingkey.Ring) serviceaccount.KeySet {
		hook = &withdrawing{KeySet: ring}
		return hook
	})
	token := sealed("P-256", object(member{"alg", `"ES256"`}), goodClaims())
	keys.set(t, "P-256", "P-384")
	hook.after = func() { keys.set(t, "P-384") }
	if _, err := s.reviewer.Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: token}); err != nil {
		t.Fatal(err)
	}
	hook.after = func() {}
	if got := s.review(token); got.Error != badSignature {
		t.Errorf("after the key was withdrawn: error %q", got.Error)
	}
}

// TestUnknownKeyIsLookedUp: another replica may have made a key a moment ago. While the store does not say, there is no
// verdict.
func TestUnknownKeyIsLookedUp(t *testing.T) {
	s, keys := newChanging(t, plainly)
	keys.set(t, "P-384")
	token, stranger := issued(goodClaims()), sealed("stranger", goodHeader("stranger"), goodClaims())
	keys.storeIsDown = true
	for name, token := range map[string]string{"of ours": token, "of a stranger": stranger} {
		verdict, err := s.reviewer.Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: token})
		if err == nil || !strings.Contains(err.Error(), "the store does not answer") {
			t.Errorf("%s, while the store is down: error %v, verdict %+v", name, err, verdict)
		}
	}
	keys.storeIsDown, keys.later = false, publicKeys(t, "P-256")
	if got := s.review(token); got.Error != accepted {
		t.Errorf("a token of a key that is new: %s", got.Error)
	}
	before := keys.lookups
	if got := s.review(token); got.Error != accepted || keys.lookups != before {
		t.Errorf("the store was asked %d times for a key that is known", keys.lookups-before)
	}
	if got := s.review(stranger); got.Error != noKey {
		t.Errorf("a token of a stranger: error %q, want %q", got.Error, noKey)
	}
	// What is no token of ours asks nothing.
	before = keys.lookups
	for _, other := range []string{"x.y.z", stranger + ".", sealed("stranger", goodHeader("stranger"), goodClaims(member{"iss", `"https://elsewhere.example"`}))} {
		s.review(other)
	}
	if keys.lookups != before {
		t.Errorf("the store was asked %d times for tokens of others", keys.lookups-before)
	}
}
