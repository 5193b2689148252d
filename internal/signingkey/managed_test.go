package signingkey

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// first returns a replica over a store in which it has prepared the first key, and that key's object.
func first(t *testing.T) (*replica, *v1alpha1.SigningKey) {
	t.Helper()
	r := newCluster().start(0, 0, time.Hour)
	if err := r.managed.Prepare(t.Context(), Preparation{}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return r, r.all()["es256-1"]
}

// writes counts the versions of the store.
func (c *cluster) writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// TestRecord: the end of a token is on record before there is one. Tokens of the usual life need no write, one that lives
// for ten years needs one, and none is out that the store could not record.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := first(t)
		sign := func(life time.Duration) error {
			end := time.Now().Add(life)
			_, err := r.ring.Sign(t.Context(), "", []byte(`{}`), end)
			synctest.Wait()
			if until := r.all()["es256-1"].Status.TokensUntil; err == nil && until.Time.Before(end.Truncate(time.Second)) {
				t.Errorf("a token until %s is out; on record is %s", end, until)
			}
			return err
		}
		for _, step := range []struct {
			life   time.Duration
			after  time.Duration
			writes int
		}{
			{life: time.Hour, writes: 1},
			{life: time.Hour},
			{life: 10 * time.Minute, after: 20 * time.Minute},
			{life: time.Hour, after: 9 * time.Minute},
			{life: time.Hour, after: 2 * time.Minute, writes: 1}, // ahead of need
			{life: time.Hour},
			{life: 10 * 365 * 24 * time.Hour, writes: 1},
			{life: 10 * 365 * 24 * time.Hour, after: time.Minute},
			{life: time.Hour, after: 24 * time.Hour},
		} {
			time.Sleep(step.after)
			before := r.writes()
			if err := sign(step.life); err != nil {
				t.Fatal(err)
			}
			if got := r.writes() - before; got != step.writes {
				t.Errorf("a token for %s, %s later: %d writes, want %d", step.life, step.after, got, step.writes)
			}
		}
		r.down.set(true)
		r.seenAt.set(time.Now())
		if err := sign(time.Hour); err != nil {
			t.Errorf("a token that is on record, while the store is down for a moment: %v", err)
		}
		var away *Unavailable
		if err := sign(20 * 365 * 24 * time.Hour); !errors.As(err, &away) || !strings.Contains(err.Error(), "could not be recorded") {
			t.Errorf("a token that is not on record, while the store is down: %v", err)
		}
		time.Sleep(viewBound + time.Second)
		if err := sign(time.Hour); !errors.As(err, &away) || !strings.Contains(err.Error(), "can't tell which key signs now") {
			t.Errorf("a token while the key may have been given up: %v", err)
		}
	})
}

// TestLegacyRecord: a token without end is noted once.
func TestLegacyRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := first(t)
		for range 3 {
			if _, err := r.ring.Sign(t.Context(), "", []byte(`{}`), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if key := r.all()["es256-1"]; !key.Status.LegacyTokens || key.Status.TokensUntil != nil || r.writes() != 2 {
			t.Errorf("status %+v after %d writes", key.Status, r.writes())
		}
	})
}

// TestRecordIsSharedByMany: many tokens that come at once make few writes.
func TestRecordIsSharedByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := first(t)
		var failed atomic.Int32
		var all sync.WaitGroup
		for i := range 500 {
			all.Go(func() {
				if _, err := r.ring.Sign(t.Context(), "", []byte(`{}`), time.Now().Add(time.Hour+time.Duration(i)*time.Second)); err != nil {
					failed.Add(1)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if n := r.writes(); failed.Load() > 0 || n > 20 {
			t.Errorf("%d tokens failed, %d writes", failed.Load(), n)
		}
	})
}

// counted counts the lists of a store, which take a while.
type counted struct {
	*replica
	lists atomic.Int32
}

func (c *counted) List(ctx context.Context) ([]*v1alpha1.SigningKey, error) {
	c.lists.Add(1)
	time.Sleep(5 * time.Millisecond)
	return c.replica.List(ctx)
}

// TestLookupsAreShared: strangers' tokens can't have the store read at will, and a key that was made before a token came is
// found by it.
func TestLookupsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := first(t)
		other := r.start(0, time.Hour, time.Hour) // its view lags by an hour
		store := &counted{replica: other}
		other.managed.Store = store
		var failed atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			for i := range 100 {
				all.Go(func() {
					if err := other.ring.Find(t.Context(), "stranger "+strconv.Itoa(i)); err != nil {
						failed.Add(1)
					}
				})
			}
			time.Sleep(50 * time.Millisecond)
		}
		all.Wait()
		if n := store.lists.Load(); n > lookupBurst+3*lookupsPerSecond || failed.Load() > 0 {
			t.Errorf("%d reads within a second, %d without a verdict", n, failed.Load())
		}
		private, err := Generate("ES256")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.managed.add(t.Context(), "es256-2", private, func(key *v1alpha1.SigningKey) { PlanKey(key, time.Now(), time.Hour) }); err != nil {
			t.Fatal(err)
		}
		id := r.all()["es256-2"].Spec.KeyID
		if other.ring.Holds(id) {
			t.Fatal("the view does not lag")
		}
		if err := other.ring.Find(t.Context(), id); err != nil || !other.ring.Holds(id) {
			t.Errorf("a key that is stored is not found: %v", err)
		}
		other.cut.set(true)
		var away *Unavailable
		if err := other.ring.Find(t.Context(), "another"); !errors.As(err, &away) {
			t.Errorf("while the store does not answer: %v", err)
		}
	})
}

// TestMaxAge: relying parties never keep the documents for longer than a key that they will need is published before it
// signs.
func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for lead, want := range map[time.Duration]time.Duration{24 * time.Hour: time.Hour, 10 * time.Minute: 10 * time.Minute, 1500 * time.Millisecond: time.Second} {
			r := newCluster().start(0, 0, lead)
			if err := r.managed.Prepare(t.Context(), Preparation{}); err != nil {
				t.Fatal(err)
			}
			age := func() time.Duration {
				synctest.Wait()
				published, err := r.ring.Published()
				if err != nil {
					t.Fatal(err)
				}
				return published.MaxAge
			}
			if got := age(); got != want {
				t.Errorf("with a lead of %s: %s, want %s", lead, got, want)
			}
			private, err := Generate("ES256")
			if err != nil {
				t.Fatal(err)
			}
			if err := r.managed.add(t.Context(), "es256-2", private, func(key *v1alpha1.SigningKey) { PlanKey(key, time.Now(), 5*time.Second) }); err != nil {
				t.Fatal(err)
			}
			if got := age(); got != min(want, 5*time.Second) {
				t.Errorf("while a lead of 5s runs: %s", got)
			}
			time.Sleep(6 * time.Second)
			if got := age(); got != want {
				t.Errorf("when that lead is over: %s, want %s", got, want)
			}
		}
	})
}

// TestPublishedAtOnce: a key is in the documents from when the write that prepares it is acknowledged, and signs when its
// lead is over, without anything else happening.
func TestPublishedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, old := first(t)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go r.ring.Run(ctx)
		before, err := r.ring.Published()
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := r.ring.Published(); again != before {
			t.Error("the documents are made for each request")
		}
		private, err := Generate("ES256")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.managed.add(t.Context(), "es256-2", private, func(key *v1alpha1.SigningKey) { PlanKey(key, time.Now(), time.Hour) }); err != nil {
			t.Fatal(err)
		}
		next := r.all()["es256-2"].Spec.KeyID
		if now, _ := r.ring.Published(); !strings.Contains(string(now.KeySet), next) {
			t.Error("the key is not published")
		}
		signs := func() string {
			token, err := r.ring.Sign(t.Context(), "", []byte(`{}`), time.Now().Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			header, _, _ := split(t, token)
			return keyIDOf(t, header)
		}
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		if signs() != old.Spec.KeyID {
			t.Error("the key signs before its time")
		}
		r.skew.set(-ClockSkew - time.Hour + time.Second)
		if signs() != old.Spec.KeyID {
			t.Error("the first key does not sign where the clock is behind")
		}
		r.skew.set(0)
		// A clock that steps back and forth changes which key signs, and breaks nothing.
		for _, step := range []struct {
			skew time.Duration
			want string
		}{{0, old.Spec.KeyID}, {2 * time.Second, next}, {-time.Minute, old.Spec.KeyID}, {2 * time.Second, next}} {
			r.skew.set(step.skew)
			if got := signs(); got != step.want {
				t.Errorf("with the clock at %s: %s signs, want %s", step.skew, got, step.want)
			}
		}
		for _, key := range r.ring.snapshot.Load().set.keys {
			if key.p256.Load() == nil {
				t.Error("a key has no multiples")
			}
		}
	})
}

// TestRestoredStore: a store that is set back to an older state has the keys of then. A token of a key that is missing is
// refused, and the keys that are there go on.
func TestRestoredStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, old := first(t)
		backup := r.all()
		private, err := Generate("ES256")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.managed.add(t.Context(), "es256-2", private, func(key *v1alpha1.SigningKey) { PlanKey(key, time.Now(), 0) }); err != nil {
			t.Fatal(err)
		}
		lost, err := r.ring.Sign(t.Context(), "", []byte(`{}`), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the view has been told of all that is lost
		r.mu.Lock()
		r.objects = backup
		r.mu.Unlock()
		for _, name := range []string{"es256-1", "es256-2"} { // a view that forgets everything, and reads again
			r.managed.Set(name, nil)
		}
		r.managed.Set("es256-1", backup["es256-1"])
		header, payload, signature := split(t, lost)
		id := keyIDOf(t, header)
		if err := r.ring.Find(t.Context(), id); err != nil {
			t.Error(err)
		}
		if _, err := r.ring.Verify("ES256", id, header+"."+payload, signature); err == nil || err.Error() != "invalid signature, no keys found" {
			t.Errorf("a token of a key that is lost: %v", err)
		}
		token, err := r.ring.Sign(t.Context(), "", []byte(`{}`), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if header, _, _ := split(t, token); keyIDOf(t, header) != old.Spec.KeyID {
			t.Error("the key of the older state does not sign")
		}
	})
}

// TestPrepare: starts that come together, in a fresh store and in one with keys, and starts that were cut off, end with the
// same keys.
func TestPrepare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		former, err := Generate("RS256")
		if err != nil {
			t.Fatal(err)
		}
		second, err := Generate("ES256")
		if err != nil {
			t.Fatal(err)
		}
		const year = 365 * 24 * time.Hour
		for name, test := range map[string]struct {
			starts []Preparation
			want   string
		}{
			"fresh":                    {[]Preparation{{}, {}}, "es256-1 Active"},
			"fresh, with algorithms":   {[]Preparation{{Algorithms: []string{"EdDSA", "RS256", "ES256"}}}, "eddsa-1 Active, es256-1 Active, rs256-1 Active"},
			"an algorithm later":       {[]Preparation{{Old: former, LongestToken: year}, {Algorithms: []string{"EdDSA"}}}, "eddsa-1 Prepared, rs256-1 Active"},
			"a former key":             {[]Preparation{{Old: former, LongestToken: year}, {Old: former, LongestToken: year}}, "rs256-1 Active"},
			"a second one":             {[]Preparation{{Old: former, LongestToken: year}, {Old: second, LongestToken: year}}, "es256-1 Retired, rs256-1 Active"},
			"a former key, too late":   {[]Preparation{{}, {Old: second, LongestToken: year}, {}}, "es256-1 Active, es256-2 Retired"},
			"a used store without one": {[]Preparation{{NoneIsWrong: errDown}, {Old: former, LongestToken: year}, {NoneIsWrong: errDown}}, "rs256-1 Active"},
		} {
			for _, cut := range []bool{false, true} {
				c := newCluster()
				for i, want := range test.starts {
					r := c.start(0, 0, time.Hour)
					if cut {
						c.mu.Lock()
						c.crash = r
						c.mu.Unlock()
						_ = r.managed.Prepare(t.Context(), want) // its first write is made, and it dies
						c.mu.Lock()
						c.crash = nil
						c.mu.Unlock()
					}
					if err := r.managed.Prepare(t.Context(), want); err != nil && want.NoneIsWrong == nil {
						t.Fatalf("%s, start %d: %v", name, i, err)
					}
					synctest.Wait()
				}
				var got []string
				schedule := Plan(c.replicas[0].managed.Keys(), time.Now())
				for i := range schedule.Keys {
					l := &schedule.Keys[i]
					got = append(got, l.Key.Name+" "+string(l.State))
					if c.private[SecretName(l.Key.Name)] == nil {
						t.Errorf("%s: %s has no private half", name, l.Key.Name)
					}
					isFormer := l.Key.Spec.Algorithm == "RS256" && len(schedule.Keys) < 3 || l.State == v1alpha1.SigningKeyRetired
					if isFormer && (!l.Key.Status.LegacyTokens || l.Key.Status.TokensUntil == nil || l.Key.Status.TokensUntil.Time.Before(time.Now().Add(year-time.Minute))) {
						t.Errorf("%s: the status of %s is %+v", name, l.Key.Name, l.Key.Status)
					}
				}
				slices.Sort(got)
				if strings.Join(got, ", ") != test.want {
					t.Errorf("%s, cut off %t: %s, want %s", name, cut, strings.Join(got, ", "), test.want)
				}
			}
		}
	})
}
