package authn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/quick"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"

	"github.com/mintmark/mintmark/internal/cache"
)

// counted answers with a fixed verdict and counts how often it is asked.
type counted struct {
	calls atomic.Int32
	say   func(ctx context.Context, token string) (*authenticator.Response, bool, error)
}

func (c *counted) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	c.calls.Add(1)
	return c.say(ctx, token)
}

func sayUser(_ context.Context, token string) (*authenticator.Response, bool, error) {
	return &authenticator.Response{User: &user.DefaultInfo{Name: "user of " + token}}, true, nil
}

// Questions that differ in any way don't share a key, however their parts run into each other when put side by side.
func TestKeysAreUnambiguous(t *testing.T) {
	store := newCacheStore(0)
	type question struct {
		token     string
		audiences []string
		limited   bool
	}
	seen := map[cache.Key]question{}
	same := func(a, b question) bool {
		return a.token == b.token && a.limited == b.limited && slices.Equal(a.audiences, b.audiences)
	}
	property := func(text string, seed uint64) bool {
		random := rand.New(rand.NewPCG(seed, 0))
		for range 8 {
			// The same text, cut in different places.
			q, rest := question{limited: random.IntN(4) > 0}, text
			cut := random.IntN(len(rest) + 1)
			q.token, rest = rest[:cut], rest[cut:]
			for q.limited && rest != "" && random.IntN(3) > 0 {
				cut := random.IntN(len(rest) + 1)
				q.audiences, rest = append(q.audiences, rest[:cut]), rest[cut:]
			}
			key := store.key(q.token, q.audiences, q.limited)
			if other, ok := seen[key]; ok && !same(q, other) {
				t.Logf("%+v and %+v share a key", q, other)
				return false
			}
			if again := store.key(q.token, q.audiences, q.limited); again != key {
				t.Logf("%+v has two keys", q)
				return false
			}
			seen[key] = q
		}
		return true
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
	if other := newCacheStore(0); other.key("t", nil, false) == store.key("t", nil, false) {
		t.Error("keys don't depend on a secret")
	}
}

func TestCacheTimes(t *testing.T) {
	for name, test := range map[string]struct {
		cfg   cacheConfig
		say   func(context.Context, string) (*authenticator.Response, bool, error)
		after time.Duration
		calls int32
	}{
		"success":         {cfg: cacheConfig{SuccessTTL: time.Minute}, say: sayUser, after: 59 * time.Second, calls: 1},
		"success is old":  {cfg: cacheConfig{SuccessTTL: time.Minute}, say: sayUser, after: time.Minute, calls: 2},
		"no cache":        {say: sayUser, calls: 2},
		"failure":         {cfg: cacheConfig{FailureTTL: time.Minute}, say: sayNothing, after: 59 * time.Second, calls: 1},
		"failure is old":  {cfg: cacheConfig{FailureTTL: time.Minute}, say: sayNothing, after: time.Minute, calls: 2},
		"failure, no TTL": {cfg: cacheConfig{SuccessTTL: time.Minute}, say: sayNothing, calls: 2},
		"error":           {cfg: cacheConfig{SuccessTTL: time.Minute, FailureTTL: time.Minute}, say: sayError, calls: 2},
		"the token ends first": {
			cfg: cacheConfig{SuccessTTL: time.Minute, End: func(string) time.Time { return time.Now().Add(time.Second) }},
			say: sayUser, after: time.Second, calls: 2,
		},
		"the token's end is unknown": {
			cfg: cacheConfig{SuccessTTL: time.Minute, End: func(string) time.Time { return time.Time{} }}, say: sayUser, calls: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				behind := &counted{say: test.say}
				c := newCache(behind, test.cfg)
				first, ok, err := c.AuthenticateToken(t.Context(), "token")
				time.Sleep(test.after)
				second, okAgain, errAgain := c.AuthenticateToken(t.Context(), "token")
				if ok != okAgain || fmt.Sprint(err) != fmt.Sprint(errAgain) || ok && first.User.GetName() != second.User.GetName() {
					t.Errorf("first %v %v %v, then %v %v %v", first, ok, err, second, okAgain, errAgain)
				}
				if calls := behind.calls.Load(); calls != test.calls {
					t.Errorf("asked %d times, want %d", calls, test.calls)
				}
			})
		})
	}
}

func sayNothing(context.Context, string) (*authenticator.Response, bool, error) {
	return nil, false, nil
}

func sayError(context.Context, string) (*authenticator.Response, bool, error) {
	return nil, false, errors.New("no")
}

// The wrapper for audiences writes into what it gets. That must not reach the next one who asks.
func TestAnswersAreNotShared(t *testing.T) {
	c := newCache(&counted{say: sayUser}, cacheConfig{SuccessTTL: time.Minute})
	for range 2 {
		response, _, err := c.AuthenticateToken(t.Context(), "token")
		if err != nil || response.Audiences != nil {
			t.Fatalf("%v %v", response, err)
		}
		response.Audiences = authenticator.Audiences{"a"}
	}
}

// Many who ask the same at once are one question, which outlives the one that began it.
func TestOneLookupAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		behind := &counted{say: func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
			<-release
			if ctx.Err() != nil {
				return nil, false, ctx.Err()
			}
			return sayUser(ctx, token)
		}}
		c := newCache(behind, cacheConfig{SuccessTTL: time.Minute})
		first, leave := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, _, err := c.AuthenticateToken(first, "token")
			gone <- err
		}()
		synctest.Wait()
		answers := make(chan bool, 100)
		for range cap(answers) {
			go func() {
				_, ok, err := c.AuthenticateToken(t.Context(), "token")
				answers <- ok && err == nil
			}()
		}
		synctest.Wait()
		leave()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("whoever leaves gets %v", err)
		}
		close(release)
		for range cap(answers) {
			if !<-answers {
				t.Error("no answer")
			}
		}
		if calls := behind.calls.Load(); calls != 1 {
			t.Errorf("asked %d times", calls)
		}
	})
}

// What comes with a success comes again with a remembered one, and what comes with a refusal does not, as upstream.
func TestWarningsAndAnnotationsAreRepeated(t *testing.T) {
	behind := &counted{say: func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		warning.AddWarning(ctx, "", "an old token")
		audit.AddAuditAnnotation(ctx, "example.com/age", "old")
		return sayUser(ctx, token)
	}}
	c := newCache(behind, cacheConfig{SuccessTTL: time.Minute})
	for i := range 3 {
		recorder := &warningRecorder{}
		ctx := audit.WithAuditContext(warning.WithWarningRecorder(t.Context(), recorder))
		if _, ok, err := c.AuthenticateToken(ctx, "token"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if got := recorder.recorded(); len(got) != 1 || got[0].text != "an old token" {
			t.Errorf("call %d: warnings %v", i, got)
		}
		if got := audit.AuditContextFrom(ctx).GetEventAnnotations()["example.com/age"]; got != "old" {
			t.Errorf("call %d: annotation %q", i, got)
		}
	}
	if calls := behind.calls.Load(); calls != 1 {
		t.Errorf("asked %d times", calls)
	}
}

// However many tokens there are, and however much is known of each, the store stays within its limit.
func TestStoreIsBounded(t *testing.T) {
	const limit = 100 << 10
	store := newCacheStore(limit)
	c := newCache(&counted{say: func(_ context.Context, token string) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{
			Name:   token,
			Groups: []string{strings.Repeat("g", rand.IntN(2000))},
			Extra:  map[string][]string{"key": {strings.Repeat("e", rand.IntN(2000))}},
		}}, true, nil
	}}, cacheConfig{Store: store, SuccessTTL: time.Hour})
	for i := range 2000 {
		if _, ok, err := c.AuthenticateToken(t.Context(), fmt.Sprint("token-", i)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if size, _ := store.verdicts.Size(); size > limit {
			t.Fatalf("%d bytes, limit %d", size, limit)
		}
	}
	if _, kept := store.verdicts.Size(); kept < 10 {
		t.Errorf("only %d entries are kept", kept)
	}
}

func TestPanicIsAnError(t *testing.T) {
	c := newCache(&counted{say: func(context.Context, string) (*authenticator.Response, bool, error) { panic("token") }},
		cacheConfig{SuccessTTL: time.Minute})
	_, ok, err := c.AuthenticateToken(t.Context(), "token")
	if ok || err == nil || err.Error() != "Internal error occurred: authentication failed unexpectedly" {
		t.Error(ok, err)
	}
}
