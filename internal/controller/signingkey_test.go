package controller

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/view"
)

// keyStore holds keys and private halves in memory. Several controllers may work on it.
type keyStore struct {
	mu      sync.Mutex
	keys    map[string]*v1alpha1.SigningKey
	private map[string]bool
	changed []view.Handler
	// states are the states that were noted, as name and state, in order.
	states []string
	made   int
}

func newKeyStore() *keyStore {
	return &keyStore{keys: map[string]*v1alpha1.SigningKey{}, private: map[string]bool{}}
}

func (s *keyStore) Stored(context.Context) ([]*v1alpha1.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []*v1alpha1.SigningKey
	for _, name := range slices.Sorted(maps.Keys(s.keys)) {
		keys = append(keys, s.keys[name].DeepCopy())
	}
	return keys, nil
}

func (s *keyStore) Note(_ context.Context, name string, change func(*v1alpha1.SigningKey) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.keys[name]
	if key == nil {
		return apierrors.NewNotFound(v1alpha1.Resource("signingkeys"), name)
	}
	before := key.Status.State
	if change(key) {
		if key.Status.State != before {
			s.states = append(s.states, name+" "+string(key.Status.State))
		}
		s.tell(key)
	}
	return nil
}

// Make makes a key as the API does: its name is the next one, and must be free.
func (s *keyStore) Make(_ context.Context, key *v1alpha1.SigningKey) error {
	keys, _ := s.Stored(context.Background())
	time.Sleep(10 * time.Millisecond) // in which another replica decides the same
	name := signingkey.ObjectName(key.Spec.Algorithm, keys)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[name] != nil {
		return apierrors.NewConflict(v1alpha1.Resource("signingkeys"), name, apierrors.NewAlreadyExists(v1alpha1.Resource("signingkeys"), name))
	}
	key.Name = name
	signingkey.PlanKey(key, time.Now(), key.Spec.LeadTime.Duration)
	s.put(key)
	s.made++
	return nil
}

func (s *keyStore) Remove(_ context.Context, key *v1alpha1.SigningKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, key.Name)
	delete(s.private, signingkey.SecretName(key.Name))
	s.states = append(s.states, key.Name+" removed")
	s.tell(key)
	return nil
}

// add stores a key that signs from an instant, by a lead of nothing.
func (s *keyStore) add(name string, change func(*v1alpha1.SigningKey)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := &v1alpha1.SigningKey{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.SigningKeySpec{Algorithm: "ES256", KeyID: "id-of-" + name}}
	signingkey.PlanKey(key, time.Now(), 0)
	if change != nil {
		change(key)
	}
	s.put(key)
}

func (s *keyStore) put(key *v1alpha1.SigningKey) {
	s.keys[key.Name] = key
	s.private[signingkey.SecretName(key.Name)] = true
	s.tell(key)
}

func (s *keyStore) onChange(handle view.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = append(s.changed, handle)
}

func (s *keyStore) tell(key *v1alpha1.SigningKey) {
	for _, handle := range s.changed {
		go handle(view.Key{Name: key.Name}, nil)
	}
}

func (s *keyStore) Names(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.private)), nil
}

func (s *keyStore) Delete(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.private, name)
	return nil
}

func (s *keyStore) history() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.states, ", ")
}

// runKeys runs replicas of the controller over a store, by a clock that is ahead of time by what offset returns.
func runKeys(t *testing.T, store *keyStore, replicas int, offset func() time.Duration, change func(*Config)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range replicas {
		cfg := Config{
			Controllers: sets.New("signingkey-controller"),
			Now:         func() time.Time { return time.Now().Add(offset()) },
			SigningKeys: &SigningKeys{
				Store: store, Private: store, Lead: time.Hour,
				OnChange: store.onChange,
			},
		}
		if change != nil {
			change(&cfg)
		}
		controllers, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { controllers.Run(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

func onTime() time.Duration { return 0 }

// The states of keys are noted when they change, and keys that are gone are removed with their private halves.
func TestSigningKeyLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newKeyStore()
		store.add("es256-1", nil)
		store.add("es256-2", func(key *v1alpha1.SigningKey) { signingkey.PlanKey(key, time.Now(), time.Hour) })
		stop := runKeys(t, store, 1, onTime, nil)
		defer stop()
		synctest.Wait()
		want := "es256-1 Active, es256-2 Prepared"
		check := func(after time.Duration, more string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if want += more; store.history() != want {
				t.Fatalf("noted: %s\nwant: %s", store.history(), want)
			}
		}
		check(0, "")
		check(time.Hour-time.Second, "")
		check(time.Second+time.Millisecond, ", es256-1 Retired, es256-2 Active")
		check(6*time.Minute, ", es256-1 Gone")
		check(goneFor-time.Second, "")
		check(signingKeyInterval, ", es256-1 removed")
		if names, _ := store.Names(t.Context()); len(names) != 1 {
			t.Errorf("private halves: %q", names)
		}
	})
}

// A clock that is set wrong for a while removes nothing.
func TestSigningKeysAndASteppingClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newKeyStore()
		store.add("es256-1", nil)
		store.add("es256-2", func(key *v1alpha1.SigningKey) { signingkey.PlanKey(key, time.Now(), time.Hour) })
		var step time.Duration
		var mu sync.Mutex
		set := func(to time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			step = to
		}
		stop := runKeys(t, store, 1, func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return step
		}, nil)
		defer stop()
		time.Sleep(time.Second)
		for _, to := range []time.Duration{10000 * time.Hour, -10000 * time.Hour, 10000 * time.Hour, 0} {
			set(to)
			time.Sleep(3 * time.Minute)
		}
		synctest.Wait()
		if keys, _ := store.Stored(t.Context()); len(keys) != 2 || keys[0].Status.State != v1alpha1.SigningKeyActive || keys[1].Status.State != v1alpha1.SigningKeyPrepared {
			t.Errorf("noted: %s", store.history())
		}
	})
}

// Private halves without an object are removed, but not those of keys that are being made.
func TestOrphanedPrivateHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newKeyStore()
		store.add("es256-1", nil)
		for _, name := range []string{"signingkeys/es256-2", "signingkeys/es256-3", "authorities/1"} {
			store.private[name] = true
		}
		stop := runKeys(t, store, 1, onTime, nil)
		defer stop()
		time.Sleep(goneFor - time.Second)
		store.add("es256-3", func(key *v1alpha1.SigningKey) { signingkey.PlanKey(key, time.Now(), time.Hour) })
		time.Sleep(2 * signingKeyInterval)
		synctest.Wait()
		if names, _ := store.Names(t.Context()); !slices.Equal(names, []string{"authorities/1", "signingkeys/es256-1", "signingkeys/es256-3"}) {
			t.Errorf("private halves: %q", names)
		}
	})
}

// With a period the next key is prepared so that it takes over when the period is over: once, however many replicas there are
// and however often they start.
func TestRotationByPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const period = 24 * time.Hour
		store := newKeyStore()
		store.add("es256-1", nil)
		store.add("rs256-1", func(key *v1alpha1.SigningKey) { key.Spec.Algorithm = "RS256" })
		rotating := func(cfg *Config) { cfg.SigningKeys.RotationPeriod = period }
		began := time.Now()
		for range 20 {
			stop := runKeys(t, store, 3, onTime, rotating)
			time.Sleep(5*time.Hour + time.Minute)
			stop()
		}
		// 100 hours: keys take over after 24, 48, 72 and 96 of them.
		keys, _ := store.Stored(t.Context())
		store.mu.Lock()
		made := store.made
		store.mu.Unlock()
		if made != 8 {
			t.Errorf("%d keys were made: %s", made, store.history())
		}
		for _, key := range keys {
			if since := key.Spec.SignsFrom.Sub(began); since%period > 10*time.Second {
				t.Errorf("%s signs after %s", key.Name, since)
			}
			if key.Name != "es256-1" && key.Name != "rs256-1" && key.Spec.SignsFrom.Sub(key.Spec.PublishedFrom.Time) < time.Hour {
				t.Errorf("%s was not published for its lead", key.Name)
			}
		}
	})
}

// The tokens in secrets are signed anew before their key goes, and then it can go.
func TestLegacyTokensAreSignedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, c := newKeyStore(), newCluster(t)
		legacy := func(key *v1alpha1.SigningKey) {
			key.Status.LegacyTokens = true
			until := metav1.NewTime(time.Now().Add(10 * time.Hour))
			key.Status.TokensUntil = &until
		}
		store.add("es256-1", legacy)
		store.add("es256-2", func(key *v1alpha1.SigningKey) { signingkey.PlanKey(key, time.Now(), time.Hour) })
		for name, token := range map[string]string{"old": tokenOf("id-of-es256-1"), "new": tokenOf("id-of-es256-2"), "unnamed": tokenOf(""), "fixed": tokenOf("id-of-es256-1")} {
			c.addTokenSecret(t, "default", name, "app", func(secret *corev1.Secret) {
				secret.Annotations[corev1.ServiceAccountUIDKey] = "uid"
				secret.Data = bytesOf("token", token)
				secret.Immutable = new(name == "fixed")
			})
		}
		token := func(name string) string { return string(c.secret(t, "default", name).Data["token"]) }
		stop := runKeys(t, store, 2, onTime, func(cfg *Config) { cfg.Client, cfg.Signer = c, signing(tokenOf("id-of-es256-2")) })
		defer stop()
		time.Sleep(9 * time.Hour)
		synctest.Wait()
		if got := token("old"); got != tokenOf("id-of-es256-1") {
			t.Errorf("an hour and six minutes before the end the token is %s", got)
		}
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		for _, name := range []string{"old", "new", "unnamed"} {
			if got := token(name); keyIDOf([]byte(got)) != "id-of-es256-2" {
				t.Errorf("the token in %s is %s", name, got)
			}
		}
		time.Sleep(10 * time.Hour)
		synctest.Wait()
		if keys, _ := store.Stored(t.Context()); len(keys) != 2 || !keys[0].Status.LegacyTokens {
			t.Errorf("the key of an immutable secret went: %s", store.history())
		}
		if err := c.CoreV1().Secrets("default").Delete(t.Context(), "fixed", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*signingKeyInterval + goneFor)
		synctest.Wait()
		if keys, _ := store.Stored(t.Context()); len(keys) != 1 {
			t.Errorf("the key stays: %s", store.history())
		}
	})
}

// tokenOf is a token with a key id in its header.
func tokenOf(keyID string) string {
	header := `{"alg":"ES256"}`
	if keyID != "" {
		header = fmt.Sprintf(`{"alg":"ES256","kid":%q}`, keyID)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + ".e30.c2ln"
}
