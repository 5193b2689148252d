package livecheck_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/livecheck"
	"github.com/mintmark/mintmark/internal/reason"
)

// cluster is a stand-in for a cluster that does what is told.
type cluster struct {
	calls  atomic.Int32
	atOnce atomic.Int32
	most   atomic.Int32

	mu sync.Mutex
	do func(*http.Request) (*http.Response, error)
}

func (c *cluster) now(do func(*http.Request) (*http.Response, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.do = do
}

func (c *cluster) RoundTrip(r *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	if n := c.atOnce.Add(1); n > c.most.Load() {
		c.most.Store(n)
	}
	defer c.atOnce.Add(-1)
	c.mu.Lock()
	do := c.do
	c.mu.Unlock()
	return do(r)
}

func yes(r *http.Request) (*http.Response, error) { return respond(r, status()) }

func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

func fails(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

// clusters are stand-ins by the names of their secrets.
func clusters(t *testing.T, names ...string) (*livecheck.Checker, *secrets, map[string]*cluster) {
	t.Helper()
	checker, stored := newChecker()
	all := map[string]*cluster{}
	for _, name := range names {
		all[name+".example"] = &cluster{do: yes}
		stored.put(name, kubeconfig("https://"+name+".example", "credential", nil))
	}
	checker.With(roundTripper(func(r *http.Request) (*http.Response, error) { return all[r.URL.Host].RoundTrip(r) }))
	byName := map[string]*cluster{}
	for _, name := range names {
		byName[name] = all[name+".example"]
	}
	return checker, stored, byName
}

// TestStaleness: an answer counts for as long as the issuer says, and a refusal for a second at most.
func TestStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, _, all := clusters(t, "east")
		east := all["east"]
		of := issuer("east", 10*time.Second, "")
		expect := func(what string, calls int32, want reason.Code) {
			t.Helper()
			_, err := confirm(t.Context(), checker, of)
			if code, _ := codeOf(err); code != want || east.calls.Load() != calls {
				t.Errorf("%s: %v after %d calls, want %v after %d", what, err, east.calls.Load(), want, calls)
			}
		}
		expect("new", 1, reason.None)
		time.Sleep(9 * time.Second)
		expect("young", 1, reason.None)
		east.now(func(r *http.Request) (*http.Response, error) {
			no := status()
			no.Authenticated, no.User.Username, no.Error = false, "", "gone"
			return respond(r, no)
		})
		time.Sleep(time.Second)
		expect("old", 2, reason.LiveCheckRefused)
		expect("refused just now", 2, reason.LiveCheckRefused)
		east.now(yes)
		time.Sleep(time.Second)
		expect("refused a while ago", 3, reason.None)
		of = issuer("east", time.Second, "") // the bound was lowered
		time.Sleep(time.Second)
		expect("older than the new bound", 4, reason.None)
		of = issuer("east", 0, "")
		expect("no answer counts", 5, reason.None)
		expect("no answer counts", 6, reason.None)
		if _, err := checker.Confirm(t.Context(), issuer("east", time.Hour, ""), token, authenticator.Audiences{"api"}, verified(), nil); err != nil || east.calls.Load() != 7 {
			t.Errorf("other audiences are another question: %v", err)
		}
	})
}

// TestStalenessFromTheQuestion: the age of an answer is counted from before it was asked for.
func TestStalenessFromTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, _, all := clusters(t, "east")
		all["east"].now(func(r *http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			return yes(r)
		})
		of := issuer("east", 5*time.Second, "")
		for _, pause := range []time.Duration{0, 2 * time.Second, 1500 * time.Millisecond} {
			time.Sleep(pause)
			if _, err := confirm(t.Context(), checker, of); err != nil {
				t.Error(err)
			}
		}
		if n := all["east"].calls.Load(); n != 2 {
			t.Errorf("%d calls; the second was due 5.5 s after the first question", n)
		}
	})
}

// TestShared: identical questions under way are one call, which goes on when the first that asked has gone.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, _, all := clusters(t, "east")
		all["east"].now(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return yes(r)
		})
		of := issuer("east", 10*time.Second, "")
		ctx, cancel := context.WithCancel(t.Context())
		var first error
		var wait sync.WaitGroup
		wait.Go(func() { _, first = confirm(ctx, checker, of) })
		synctest.Wait()
		for range 20 {
			wait.Go(func() {
				if _, err := confirm(t.Context(), checker, of); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wait.Wait()
		if n := all["east"].calls.Load(); n != 1 || !errors.Is(first, context.Canceled) {
			t.Errorf("%d calls, %v", n, first)
		}
	})
}

// TestClusterDown: a cluster that does not answer is asked at a pace, and there is no answer at once meanwhile. It counts again with its
// first answer.
func TestClusterDown(t *testing.T) {
	for name, down := range map[string]func(*http.Request) (*http.Response, error){"hangs": hangs, "refuses connections": fails} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				checker, _, all := clusters(t, "east")
				east := all["east"]
				east.now(down)
				of := issuer("east", 0, "")
				begun, waited, reviews := time.Now(), time.Duration(0), 0
				for ; time.Since(begun) < 2*time.Minute; reviews++ {
					asked := time.Now()
					_, err := confirm(t.Context(), checker, of)
					if code, unavailable := codeOf(err); code != reason.LiveCheckUnavailable || !unavailable {
						t.Fatal(err)
					}
					if took := time.Since(asked); took > livecheck.CallTimeout {
						t.Errorf("a review waited %s", took)
					} else {
						waited += took
					}
					time.Sleep(100 * time.Millisecond)
				}
				// Twelve paces of ten seconds, and the shorter ones before.
				if n := east.calls.Load(); n < 8 || n > 22 || reviews < 600 {
					t.Errorf("%d calls for %d reviews, which waited %s", n, reviews, waited)
				}
				if state := checker.State(of); !state.Asked || state.Failure == nil || state.NotSetUp || !strings.Contains(state.Failure.Error(), map[string]string{
					"hangs": "the cluster gave no answer within 3s", "refuses connections": "connection refused",
				}[name]) {
					t.Errorf("%+v", state)
				}
				east.now(yes)
				time.Sleep(2 * livecheck.LastPace)
				if _, err := confirm(t.Context(), checker, of); err != nil || checker.State(of).Failure != nil {
					t.Errorf("after its return: %v", err)
				}
			})
		})
	}
}

// TestOneFailure: a failure or two are no reason to hold calls back, nor is a token that the cluster can't read.
func TestOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, _, all := clusters(t, "east")
		of := issuer("east", 0, "")
		for range 5 {
			for _, do := range []func(*http.Request) (*http.Response, error){fails, fails, yes} {
				all["east"].now(do)
				_, _ = confirm(t.Context(), checker, of)
				time.Sleep(livecheck.FailureAge)
			}
		}
		for range 10 {
			all["east"].now(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusRequestEntityTooLarge, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			})
			if _, err := confirm(t.Context(), checker, of); err == nil {
				t.Error("accepted")
			}
			time.Sleep(livecheck.FailureAge)
		}
		all["east"].now(yes)
		if _, err := confirm(t.Context(), checker, of); err != nil || all["east"].calls.Load() != 26 {
			t.Errorf("%v after %d calls", err, all["east"].calls.Load())
		}
	})
}

// TestFailureIsAskedOnce: the generic chain asks again about what the fast path had no answer to. That is no second call. A moment
// later the cluster is asked anew, and so it is about another token, or with another credential.
func TestFailureIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, stored, all := clusters(t, "east")
		east := all["east"]
		expect := func(what string, onFailure v1alpha1.LiveCheckFailurePolicy, token string, calls int32) {
			t.Helper()
			_, err := checker.Confirm(t.Context(), issuer("east", 0, onFailure), token, asked, verified(), nil)
			if accepted := onFailure == v1alpha1.LiveCheckAccept; accepted != (err == nil) || east.calls.Load() != calls {
				t.Errorf("%s: %v after %d calls, want %d", what, err, east.calls.Load(), calls)
			}
		}
		east.now(fails)
		expect("first", v1alpha1.LiveCheckRefuse, token, 1)
		expect("again", v1alpha1.LiveCheckRefuse, token, 1)
		expect("again, where that is a yes", v1alpha1.LiveCheckAccept, token, 1)
		expect("another token", v1alpha1.LiveCheckRefuse, token+"x", 2)
		stored.put("east", kubeconfig("https://east.example", "other", nil))
		expect("another credential", v1alpha1.LiveCheckRefuse, token, 3)
		time.Sleep(livecheck.FailureAge)
		expect("later", v1alpha1.LiveCheckRefuse, token, 4)
		time.Sleep(livecheck.FailureAge)
		east.now(yes)
		if _, err := confirm(t.Context(), checker, issuer("east", 0, "")); err != nil {
			t.Error(err)
		}
	})
}

// TestOthersAreNotDelayed: while many reviews wait for clusters that hang, a review that another cluster decides takes no time, and
// the reviews that wait stay bounded.
func TestOthersAreNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"west"}
		for i := range 20 {
			names = append(names, "dead"+strconv.Itoa(i))
		}
		checker, _, all := clusters(t, names...)
		var wait sync.WaitGroup
		var waiting atomic.Int32
		for _, name := range names[1:] {
			all[name].now(hangs)
			for i := range 50 {
				wait.Go(func() {
					waiting.Add(1)
					defer waiting.Add(-1)
					if _, err := checker.Confirm(t.Context(), issuer(name, time.Minute, ""), token+strconv.Itoa(i), asked, verified(), nil); err == nil {
						t.Error("accepted")
					}
				})
			}
		}
		synctest.Wait()
		if n := waiting.Load(); n > livecheck.MaxBusy {
			t.Errorf("%d reviews wait", n)
		}
		begun := time.Now()
		for i := range 200 {
			if _, err := checker.Confirm(t.Context(), issuer("west", time.Minute, ""), token+strconv.Itoa(i), asked, verified(), nil); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("the other cluster's reviews waited %s", took)
		}
		wait.Wait()
		if took := time.Since(begun); took > livecheck.CallTimeout {
			t.Errorf("reviews waited %s", took)
		}
	})
}

// TestCallsAtOnce: one cluster gets few calls at a time, also if it is slow.
func TestCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, _, all := clusters(t, "east")
		all["east"].now(func(r *http.Request) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			return yes(r)
		})
		var wait sync.WaitGroup
		var good atomic.Int32
		for i := range 30 {
			wait.Go(func() {
				if _, err := checker.Confirm(t.Context(), issuer("east", time.Minute, ""), token+strconv.Itoa(i), asked, verified(), nil); err == nil {
					good.Add(1)
				}
			})
		}
		wait.Wait()
		if most := all["east"].most.Load(); most > 8 || good.Load() < 15 {
			t.Errorf("%d calls at a time, %d answers", most, good.Load())
		}
	})
}

// TestSecretChanges: the new credential counts from the change on, and an answer that the old one got no longer. A missing secret is a
// missing answer with a reason of its own.
func TestSecretChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, stored := newChecker()
		var used []string
		checker.With(roundTripper(func(r *http.Request) (*http.Response, error) {
			used = append(used, r.Header.Get("Authorization"))
			return yes(r)
		}))
		of, accepting := issuer("east", time.Hour, ""), issuer("east", time.Hour, v1alpha1.LiveCheckAccept)
		missing := func(detail string) {
			t.Helper()
			_, err := confirm(t.Context(), checker, of)
			state := checker.State(of)
			if code, unavailable := codeOf(err); code != reason.LiveCheckNotSetUp || !unavailable || !state.NotSetUp || !strings.Contains(state.Failure.Error(), detail) {
				t.Errorf("%v, %+v", err, state)
			}
			if _, err := confirm(t.Context(), checker, accepting); err != nil {
				t.Errorf("with onFailure: Accept: %v", err)
			}
		}
		missing("the secret clusters/east does not exist: make it, with the kubeconfig for the cluster in the key kubeconfig")
		for _, credential := range []string{"first", "second"} {
			stored.put("east", kubeconfig("https://east.example", credential, nil))
			for range 3 {
				if _, err := confirm(t.Context(), checker, of); err != nil {
					t.Error(err)
				}
			}
		}
		stored.put("east", "")
		missing("does not exist")
		stored.put("east", "kind: Config")
		missing("the kubeconfig in the secret clusters/east can't be used: it is no kubeconfig")
		if len(used) != 2 || used[0] != "Bearer first" || used[1] != "Bearer second" {
			t.Errorf("%q", used)
		}
		before := stored.reads
		for range 50 {
			_, _ = confirm(t.Context(), checker, of)
			time.Sleep(10 * time.Millisecond)
		}
		if n := stored.reads - before; n > 6 {
			t.Errorf("the secret was read %d times in half a second", n)
		}
	})
}

// TestStoreDown: with the secret in memory the store is not needed; without it there is no answer.
func TestStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, stored, _ := clusters(t, "east", "west")
		if _, err := confirm(t.Context(), checker, issuer("east", 0, "")); err != nil {
			t.Fatal(err)
		}
		stored.err = errors.New("the stored secrets could not be read")
		if _, err := confirm(t.Context(), checker, issuer("east", 0, "")); err != nil {
			t.Error(err)
		}
		_, err := confirm(t.Context(), checker, issuer("west", 0, ""))
		if code, _ := codeOf(err); code != reason.LiveCheckUnavailable {
			t.Error(err)
		}
	})
}

// TestPanic: a panic in a call is a missing answer, and the next call is made.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, _, all := clusters(t, "east")
		all["east"].now(func(*http.Request) (*http.Response, error) { panic(token) })
		_, err := confirm(t.Context(), checker, issuer("east", 0, ""))
		if code, _ := codeOf(err); code != reason.LiveCheckUnavailable || strings.Contains(checker.State(issuer("east", 0, "")).Failure.Error(), token) {
			t.Error(err)
		}
		all["east"].now(yes)
		time.Sleep(livecheck.FailureAge)
		if _, err := confirm(t.Context(), checker, issuer("east", 0, "")); err != nil {
			t.Error(err)
		}
	})
}

// TestProbe: a cluster can be asked without a token, which shows that our credential is good.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker, _, all := clusters(t, "east")
		of := issuer("east", time.Minute, "")
		if state := checker.State(of); state.Asked {
			t.Errorf("%+v", state)
		}
		if state := checker.Probe(t.Context(), of); !state.Asked || state.Failure != nil {
			t.Errorf("%+v", state)
		}
		time.Sleep(2 * time.Minute)
		if state := checker.State(of); state.Asked {
			t.Errorf("what a cluster said long ago says nothing: %+v", state)
		}
		all["east"].now(hangs)
		if state := checker.Probe(t.Context(), of); state.Failure == nil || all["east"].calls.Load() != 2 {
			t.Errorf("%+v", state)
		}
	})
}
