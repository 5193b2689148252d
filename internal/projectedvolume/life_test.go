package projectedvolume_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

// TestLives: when tokens are renewed for the second time, in each of their lives.
func TestLives(t *testing.T) {
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		seconds         int64
		shorten         time.Duration
		earliest, until time.Duration
	}{
		"ten minutes":                        {600, 0, 470 * time.Second, 480 * time.Second},
		"an hour and seven seconds":          {3607, 0, 2875 * time.Second, 2886 * time.Second},
		"29 hours":                           {29 * 3600, 0, 29*time.Hour*4/5 - 10*time.Second, 29 * time.Hour * 4 / 5},
		"thirty days":                        {30 * 24 * 3600, 0, day - 10*time.Second, day},
		"the server's answer is less":        {86400, time.Hour, 2870 * time.Second, 2880 * time.Second},
		"the server's answer is ten seconds": {3600, 10 * time.Second, 7 * time.Second, 8 * time.Second},
		"one second":                         {3600, time.Second, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, begin := newAPI(), time.Now()
				server.shorten = test.shorten
				keeper, _ := run(t, projectedvolume.Config{Client: server})
				keeper.Set(pod("p", tokenSource("token", "", test.seconds)))
				time.Sleep(test.until + time.Millisecond)
				synctest.Wait()
				issued, _ := server.requests(begin)
				if len(issued) != 2 || issued[1] < test.earliest || issued[1] > test.until {
					t.Errorf("tokens at %v, want the second from %v to %v", issued, test.earliest, test.until)
				}
			})
		})
	}
}

// TestJitter: volumes that were written at one time are not all renewed at one time.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, begin := newAPI(), time.Now()
		keeper, _ := run(t, projectedvolume.Config{Client: server})
		for i := range 20 {
			keeper.Set(pod("p"+string(rune('a'+i)), tokenSource("token", "", 600)))
		}
		time.Sleep(480 * time.Second)
		synctest.Wait()
		issued, _ := server.requests(begin)
		if spread := issued[len(issued)-1] - issued[20]; len(issued) != 40 || spread < time.Second {
			t.Errorf("%d tokens, the second ones within %v", len(issued), spread)
		}
	})
}

// TestServersClock: a server whose clock is an hour off changes nothing but a line in the status.
func TestServersClock(t *testing.T) {
	for _, offset := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			server, begin := newAPI(), time.Now()
			server.offset = offset
			keeper, root := run(t, projectedvolume.Config{Client: server})
			keeper.Set(pod("p", tokenSource("token", "", 600)))
			time.Sleep(470 * time.Second)
			synctest.Wait()
			status := only(t, keeper)
			if status.Err != nil || !status.GoodUntil.Equal(begin.Add(10*time.Minute)) || status.ClockOffset != -offset {
				t.Errorf("status %+v", status)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if issued, _ := server.requests(begin); len(issued) != 2 || read(t, root, "p", "token") != "app//2" {
				t.Errorf("with a server whose clock is %v off, tokens at %v", offset, issued)
			}
		})
	}
}

// settable is a wall clock that can be set. It measures time as before.
type settable struct {
	clock.RealClock
	offset atomic.Int64 // in nanoseconds
}

func (s *settable) Now() time.Time {
	return s.RealClock.Now().Round(0).Add(time.Duration(s.offset.Load()))
}

// TestClockIsSet: a clock that is set, or a machine that slept, loses no renewal.
func TestClockIsSet(t *testing.T) {
	for name, test := range map[string]struct {
		step time.Duration
		// until is when at the latest, after the step, the token is renewed.
		until time.Duration
		// renewed is how often in ten minutes.
		renewed int
	}{
		"forward an hour, or asleep for one": {time.Hour, time.Minute, 2},
		"back an hour":                       {-time.Hour, 380 * time.Second, 2},
		"forward a little":                   {2 * time.Second, 380 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, begin, wall := newAPI(), time.Now(), &settable{}
				keeper, root := run(t, projectedvolume.Config{Client: server, Clock: wall})
				keeper.Set(pod("p", tokenSource("token", "", 600)))
				time.Sleep(100 * time.Second)
				synctest.Wait()
				wall.offset.Store(int64(test.step))
				status := only(t, keeper)
				if left := status.GoodUntil.Sub(wall.Now()); status.Expired(wall.Now()) != (test.step == time.Hour) || left > 500*time.Second {
					t.Errorf("after the step the token is good for %v", left)
				}
				time.Sleep(test.until)
				synctest.Wait()
				if got := read(t, root, "p", "token"); got != "app//2" {
					t.Errorf("%v after the step the file has %q", test.until, got)
				}
				if status := only(t, keeper); status.Err != nil || status.Expired(wall.Now()) {
					t.Errorf("status %+v", status)
				}
				time.Sleep(470*time.Second - time.Minute)
				synctest.Wait()
				if issued, _ := server.requests(begin); len(issued) != test.renewed {
					t.Errorf("tokens at %v", issued)
				}
			})
		})
	}
}

// TestSoonAgain: a server that does not know yet that the pod is on this node is asked again soon.
func TestSoonAgain(t *testing.T) {
	accounts := schema.GroupResource{Resource: "serviceaccounts"}
	for text, want := range map[string]int{
		"no relationship found between node 'vm1' and this object": 4,
		`audience "vault" not found in pod spec volume`:            4,
		"User \"system:node:vm1\" cannot create resource":          2,
	} {
		synctest.Test(t, func(t *testing.T) {
			server, begin := newAPI(), time.Now()
			server.fail(apierrors.NewForbidden(accounts, "app", errorText(text)))
			keeper, _ := run(t, projectedvolume.Config{Client: server})
			keeper.Set(pod("p", tokenSource("token", "", 600)))
			time.Sleep(1400 * time.Millisecond)
			synctest.Wait()
			if _, refused := server.requests(begin); len(refused) < want {
				t.Errorf("%s: asked at %v", text, refused)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if _, refused := server.requests(begin); len(refused) > 150 {
				t.Errorf("%s: asked %d times in an hour", text, len(refused))
			}
			server.fail(nil)
			time.Sleep(time.Minute)
			synctest.Wait()
			if status := only(t, keeper); status.Err != nil || status.Written.IsZero() {
				t.Errorf("status %+v", status)
			}
		})
	}
}

type errorText string

func (e errorText) Error() string { return string(e) }

// TestRenewAll has all tokens renewed, and does so until it succeeds.
func TestRenewAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newAPI()
		keeper, root := run(t, projectedvolume.Config{Client: server})
		keeper.Set(pod("p", tokenSource("a", "a", 600), tokenSource("b", "b", 86400)))
		synctest.Wait()
		keeper.RenewAll()
		synctest.Wait()
		if got := files(t, root, "p"); got["a"] != "app/a/3" || got["b"] != "app/b/4" {
			t.Errorf("renewed: %q", got)
		}
		server.fail(apierrors.NewServiceUnavailable("away"))
		keeper.RenewAll()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if status := only(t, keeper); status.Err == nil || files(t, root, "p")["b"] != "app/b/4" {
			t.Errorf("status %+v", status)
		}
		server.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := files(t, root, "p"); got["a"] != "app/a/5" || got["b"] != "app/b/6" || only(t, keeper).Err != nil {
			t.Errorf("renewed after a failure: %q, %v", got, only(t, keeper).Err)
		}
	})
}

// TestUnwritten: new tokens that can't be written are kept for the next try, and the status tells of those in the files.
func TestUnwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, begin := newAPI(configMap("config", map[string]string{})), time.Now()
		keeper, root := run(t, projectedvolume.Config{Client: server})
		keeper.Set(pod("p", tokenSource("token", "", 600), fieldSource("late", "metadata.name")))
		synctest.Wait()
		late := filepath.Join(root, "pods/ns_p/volumes/v/late")
		os.Remove(late)
		os.WriteFile(late, []byte("theirs"), 0o600)
		time.Sleep(590 * time.Second)
		synctest.Wait()
		status := only(t, keeper)
		if status.Err == nil || !strings.Contains(status.Err.Error(), late+" is a file that the agent did not make: remove it") || !status.GoodUntil.Equal(begin.Add(10*time.Minute)) {
			t.Errorf("status %+v", status)
		}
		if issued, _ := server.requests(begin); len(issued) != 2 || read(t, root, "p", "token") != "app//1" {
			t.Errorf("tokens at %v", issued)
		}
		os.Remove(late)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := read(t, root, "p", "token"); got != "app//2" || read(t, root, "p", "late") != "p" || only(t, keeper).Err != nil {
			t.Errorf("the file has %q, %v", got, only(t, keeper).Err)
		}
	})
}

// TestEmptyAnswer: no empty file is written.
func TestEmptyAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newAPI()
		keeper, root := run(t, projectedvolume.Config{Client: server})
		keeper.Set(pod("p", tokenSource("token", "", 600)))
		synctest.Wait()
		server.mu.Lock()
		server.empty = true
		server.mu.Unlock()
		keeper.RenewAll()
		synctest.Wait()
		if status := only(t, keeper); status.Err == nil || !strings.Contains(status.Err.Error(), "has no token in it") || read(t, root, "p", "token") != "app//1" {
			t.Errorf("status %+v", status)
		}
	})
}
