package oauth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"

	"github.com/mintmark/mintmark/internal/oauth"
)

func seconds(n int32) *int32 { return &n }

// inTime runs a test with a clock of its own. What is started by running ends with it.
func inTime(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// running has the deadlines of a replica written until the returned function is called.
func (r *replica) running() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.idle.Run(ctx); close(done) }()
	synctest.Wait()
	return func() { cancel(); <-done }
}

// until lets the time pass up to so many seconds after a start, and everything happen that is due by then.
func until(start time.Time, after int) {
	time.Sleep(time.Until(start.Add(time.Duration(after) * time.Second)))
	synctest.Wait()
}

// use has the token t1 reviewed, which must be good.
func (r *replica) use() {
	r.t.Helper()
	if why := r.refused(t1); why != "" {
		r.t.Errorf("refused: %s", why)
	}
}

func (r *replica) wantIdleAfter(want int32) {
	r.t.Helper()
	if got := r.idleAfter(n1); got != want {
		r.t.Errorf("the deadline is after %d seconds, want %d", got, want)
	}
}

func TestUseIsWrittenBeforeTheDeadline(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, start := newReplica(t, newShelf(), 0), time.Now()
		r.put(ada("u-ada-1"), client(seconds(600)), adasToken(n1, start, idleAfter(600)))
		defer r.running()()
		until(start, 200)
		r.use()
		until(start, 450)
		r.wantIdleAfter(600) // far from the deadline nothing is written
		until(start, 599)
		r.wantIdleAfter(800)
		until(start, 790)
		r.use()
		until(start, 791)
		r.wantIdleAfter(1390) // ten seconds before the deadline it is written at once
		until(start, 1392)
		if why := r.refused(t1); why != "token timed out" {
			t.Errorf("%q", why)
		}
	})
}

func TestLateUseIsWrittenAtOnce(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, start := newReplica(t, newShelf(), 0), time.Now()
		r.put(ada("u-ada-1"), client(seconds(600)), adasToken(n1, start, idleAfter(600)))
		defer r.running()()
		until(start, 595)
		r.use()
		synctest.Wait()
		r.wantIdleAfter(1195)
	})
}

// TestBusyToken: however often a token is used, it is written once in a window.
func TestBusyToken(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, start := newReplica(t, newShelf(), 0), time.Now()
		r.put(ada("u-ada-1"), client(seconds(600)), adasToken(n1, start, idleAfter(600)))
		before := r.shelf.writes
		defer r.running()()
		for second := 1; second <= 3000; second += 3 {
			until(start, second)
			r.use()
		}
		if writes := r.shelf.writes - before; writes < 4 || writes > 8 {
			t.Errorf("%d writes in 3000 seconds", writes)
		}
		if noted := r.idle.Noted(); noted > 1 {
			t.Errorf("%d uses of one token are noted", noted)
		}
	})
}

func TestNothingToPutOff(t *testing.T) {
	for name, change := range map[string]func(*oauthv1.OAuthAccessToken){
		"it ends first":       func(token *oauthv1.OAuthAccessToken) { token.ExpiresIn, token.InactivityTimeoutSeconds = 300, 600 },
		"it ends at the time": func(token *oauthv1.OAuthAccessToken) { token.ExpiresIn, token.InactivityTimeoutSeconds = 600, 600 },
		"it may idle":         func(*oauthv1.OAuthAccessToken) {},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				r, start := newReplica(t, newShelf(), time.Hour), time.Now()
				r.put(ada("u-ada-1"), client(seconds(900)), adasToken(n1, start, change))
				before := r.shelf.writes
				defer r.running()()
				until(start, 290)
				r.use()
				until(start, 1000)
				r.idle.Flush(t.Context())
				if writes := r.shelf.writes - before; writes > 0 {
					t.Errorf("%d writes", writes)
				}
			})
		})
	}
}

// TestWindows: what a use grants is the client's to say, and then the server's.
func TestWindows(t *testing.T) {
	ofAccount := func(token *oauthv1.OAuthAccessToken) { token.ClientName = "system:serviceaccount:ns:app" }
	for name, test := range map[string]struct {
		server time.Duration
		client *oauthv1.OAuthClient
		change func(*oauthv1.OAuthAccessToken)
		want   int32 // after a use at 100 of a token that may idle until 600
	}{
		"the client's":                  {server: time.Hour, client: client(seconds(1000)), want: 1100},
		"the server's":                  {server: time.Hour, client: client(nil), want: 3700},
		"for ever":                      {server: time.Hour, client: client(seconds(0))},
		"for ever, says the server":     {server: 0, client: client(nil)},
		"shorter than it was":           {server: time.Hour, client: client(seconds(300)), want: 600},
		"as long as it was":             {server: time.Hour, client: client(seconds(500)), want: 600},
		"of a service account":          {server: time.Hour, client: client(seconds(1000)), change: ofAccount, want: 3700},
		"of no client":                  {server: time.Hour, want: 3700},
		"of no client, and no server's": {server: 0, want: 600},
		"more than can be written":      {server: time.Hour, client: client(seconds(1<<31 - 1)), want: 1<<31 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				r, start := newReplica(t, newShelf(), test.server), time.Now()
				r.put(ada("u-ada-1"), adasToken(n1, start, idleAfter(600)))
				if test.client != nil {
					r.put(test.client)
				}
				if test.change != nil {
					r.put(adasToken(n1, start, idleAfter(600), test.change))
				}
				defer r.running()()
				until(start, 100)
				r.use()
				until(start, 599)
				r.wantIdleAfter(test.want)
			})
		})
	}
}

// TestForEverIsForEver: a token that got rid of its deadline doesn't get another.
func TestForEverIsForEver(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, start := newReplica(t, newShelf(), 0), time.Now()
		r.put(ada("u-ada-1"), client(seconds(0)), adasToken(n1, start, idleAfter(600)))
		defer r.running()()
		until(start, 100)
		r.use()
		until(start, 500)
		r.wantIdleAfter(0)
		r.put(client(seconds(600)))
		r.use()
		until(start, 5000)
		r.wantIdleAfter(0)
		r.use()
	})
}

// TestRejectedUseCounts: a token that is shown for other audiences is in use all the same.
func TestRejectedUseCounts(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, start := newReplica(t, newShelf(), 0), time.Now()
		r.put(ada("u-ada-1"), client(seconds(600)), adasToken(n1, start, idleAfter(600)))
		defer r.running()()
		until(start, 200)
		if why := r.refused(t1, "other"); why == "" {
			t.Error("good for others")
		}
		until(start, 599)
		r.wantIdleAfter(800)
	})
}

// TestTwoReplicasPutOff: the last use counts, wherever it was, and a deadline never comes back.
func TestTwoReplicasPutOff(t *testing.T) {
	for name, order := range map[string]func(a, b *replica){
		"the earlier use is written first": func(a, b *replica) { a.idle.Flush(a.t.Context()); b.idle.Flush(b.t.Context()) },
		"the later use is written first":   func(a, b *replica) { b.idle.Flush(b.t.Context()); a.idle.Flush(a.t.Context()) },
		"both at once": func(a, b *replica) {
			done := make(chan struct{})
			go func() { a.idle.Flush(context.Background()); close(done) }()
			b.idle.Flush(b.t.Context())
			<-done
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				s, start := newShelf(), time.Now()
				a, b := newReplica(t, s, 10*time.Minute), newReplica(t, s, 10*time.Minute)
				a.put(ada("u-ada-1"), client(nil), adasToken(n1, start, idleAfter(600)))
				until(start, 200)
				a.use()
				until(start, 300)
				b.use()
				order(a, b)
				a.wantIdleAfter(900)
			})
		})
	}
}

// contended is a store in which somebody else writes between a read and the write.
type contended struct {
	oauth.TokenStore
	other func()
	times int
}

func (c *contended) Update(ctx context.Context, token *oauthv1.OAuthAccessToken) error {
	if c.times > 0 {
		c.times--
		c.other()
	}
	return c.TokenStore.Update(ctx, token)
}

func TestConflict(t *testing.T) {
	for name, test := range map[string]struct{ theirs, want int32 }{
		"they put it off less": {650, 800}, "they put it off further": {1000, 1000}, "they took it away": {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				r, start := newReplica(t, newShelf(), 10*time.Minute), time.Now()
				r.put(ada("u-ada-1"), client(nil), adasToken(n1, start, idleAfter(600)))
				store := &contended{r, func() { r.put(adasToken(n1, start, idleAfter(test.theirs))) }, 1}
				r.idle.Store = store
				until(start, 200)
				r.use()
				r.idle.Flush(t.Context())
				r.wantIdleAfter(test.want)
				if store.times != 0 {
					t.Error("nobody wrote in between")
				}
			})
		})
	}
}

// TestStoreIsDown: a use that could not be written down is not forgotten.
func TestStoreIsDown(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, start := newReplica(t, newShelf(), 0), time.Now()
		r.put(ada("u-ada-1"), client(seconds(600)), adasToken(n1, start, idleAfter(600)), adasToken(n2, start, idleAfter(600)))
		defer r.running()()
		until(start, 560)
		r.shelf.setDown(true)
		r.use()
		if why := r.refused(t2); why != "" {
			t.Error(why)
		}
		until(start, 575)
		r.shelf.setDown(false)
		until(start, 599)
		r.wantIdleAfter(1160)
		if got := r.idleAfter(n2); got != 1160 {
			t.Errorf("the other one: %d", got)
		}
	})
}

// TestFlush: what is noted is written when a server ends, and what is used after that, at once.
func TestFlush(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, start := newReplica(t, newShelf(), 0), time.Now()
		r.put(ada("u-ada-1"), client(seconds(600)), adasToken(n1, start, idleAfter(600)))
		stop := r.running()
		until(start, 100)
		r.use()
		r.wantIdleAfter(600)
		r.idle.Flush(t.Context())
		r.wantIdleAfter(700)
		until(start, 101)
		r.use()
		synctest.Wait()
		r.wantIdleAfter(701)
		stop()
	})
}

// TestCrash: what was only noted is lost with its process. The token then ends when it was to end before, and the next
// process goes on from there.
func TestCrash(t *testing.T) {
	inTime(t, func(t *testing.T) {
		s, start := newShelf(), time.Now()
		crashed := newReplica(t, s, 0)
		crashed.put(ada("u-ada-1"), client(seconds(600)), adasToken(n1, start, idleAfter(600)))
		stop := crashed.running()
		until(start, 150)
		crashed.use()
		stop() // without a flush
		next := newReplica(t, s, 0)
		defer next.running()()
		next.wantIdleAfter(600)
		until(start, 300)
		next.use()
		until(start, 599)
		next.wantIdleAfter(900)
	})
}

// TestNotedIsBounded: nothing is remembered of tokens that are gone.
func TestNotedIsBounded(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, start := newReplica(t, newShelf(), 0), time.Now()
		r.put(ada("u-ada-1"), client(seconds(600)))
		for range 20 {
			r.put(adasToken(n1, start, idleAfter(600)))
			r.use()
			r.use()
			if noted := r.idle.Noted(); noted != 1 {
				t.Fatalf("%d uses are noted", noted)
			}
			r.remove(adasToken(n1, start))
		}
		if noted := r.idle.Noted(); noted != 0 {
			t.Errorf("%d uses of tokens that are gone", noted)
		}
	})
}

// TestLastUseCounts: reviews may end in another order than they began.
func TestLastUseCounts(t *testing.T) {
	inTime(t, func(t *testing.T) {
		r, start := newReplica(t, newShelf(), 10*time.Minute), time.Now()
		r.put(ada("u-ada-1"), client(nil), adasToken(n1, start, idleAfter(600)))
		token, _ := r.index.AccessTokens.Get("", n1)
		for _, seen := range []int{200, 300, 250} {
			r.idle.Used(n1, &token, start.Add(time.Duration(seen)*time.Second))
		}
		r.idle.Flush(t.Context())
		r.wantIdleAfter(900)
	})
}
