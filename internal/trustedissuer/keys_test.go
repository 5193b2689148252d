package trustedissuer

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

const good = "east:" + account

// all has so many reviews of a token at once, and counts the answers.
func (w *world) all(n int, token string) map[string]int {
	answers, mu, asking := map[string]int{}, sync.Mutex{}, sync.WaitGroup{}
	for range n {
		asking.Go(func() {
			name := w.name(token)
			mu.Lock()
			defer mu.Unlock()
			answers[name]++
		})
	}
	asking.Wait()
	return answers
}

// TestRotationCostsOneRead: a new key of an issuer is read once, however many reviews need it at a time, and the old one is
// forgotten with all verdicts that it made.
func TestRotationCostsOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStranger(t, theURL)
		s.after = 50 * time.Millisecond
		w := newWorld(t, Config{Waiting: 200}, s)
		w.put("east", s.url, nil)
		old := s.token(t, nil)
		if got := w.all(100, old); got[good] != 100 || s.reads("/keys") != 1 || s.reads(wellKnown) != 1 {
			t.Fatalf("the first keys: %v, %d reads", got, s.reads("/keys"))
		}
		s.rotate(t, "second")
		if got := w.all(100, s.token(t, nil)); got[good] != 100 || s.reads("/keys") != 2 || s.reads(wellKnown) != 1 {
			t.Errorf("after a rotation: %v, %d reads", got, s.reads("/keys"))
		}
		if got := w.name(old); got != "UnknownKey" {
			t.Errorf("the token of the old key: %s", got)
		}
	})
}

// TestUnknownKeysArePaced: made-up key ids have the keys read no more often than the pace, and a key that is new meanwhile is found
// by the next of these reads.
func TestUnknownKeysArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStranger(t, theURL)
		w := newWorld(t, Config{}, s)
		w.put("east", s.url, nil)
		forger := newStranger(t, theURL)
		begin := time.Now()
		for n := range 1000 {
			forger.set(func() { forger.signer.KeyID = fmt.Sprint("made-up-", n) })
			if got := w.name(forger.token(t, nil)); got != "UnknownKey" {
				t.Fatal(got)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if most := needsBurst + int(time.Since(begin)/needsEvery); s.reads("/keys") > most {
			t.Errorf("the keys were read %d times, want %d at most", s.reads("/keys"), most)
		}
		s.rotate(t, "second")
		time.Sleep(needsEvery)
		if got := w.name(s.token(t, nil)); got != good {
			t.Error(got)
		}
	})
}

// TestKeysAreRefreshed: a key that an issuer withdraws stops counting with the next read on schedule, though no token needs a key.
func TestKeysAreRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStranger(t, theURL)
		w := newWorld(t, Config{}, s)
		w.begun = true
		w.put("east", s.url, nil)
		time.Sleep(firstRead)
		synctest.Wait()
		if facts, ok := w.Facts("east"); !ok || len(facts.KeyIDs) != 1 || facts.KeyIDs[0] != "first" || facts.Failure != nil || !facts.Next.After(time.Now()) {
			t.Errorf("the keys of a new object: %+v", facts)
		}
		token := s.token(t, map[string]any{"exp": time.Now().Add(48 * hour).Unix()})
		if got := w.name(token); got != good {
			t.Fatal(got)
		}
		s.rotate(t, "second")
		time.Sleep(refreshEvery)
		synctest.Wait()
		if got := w.name(token); got != "UnknownKey" {
			t.Errorf("a token of a withdrawn key: %s", got)
		}
	})
}

// TestKeysOutliveTheirIssuer: keys count for a day after they were last read, and no longer.
func TestKeysOutliveTheirIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStranger(t, theURL)
		w := newWorld(t, Config{}, s)
		w.begun = true
		w.put("east", s.url, nil)
		token := s.token(t, map[string]any{"exp": time.Now().Add(48 * hour).Unix()})
		if got := w.name(token); got != good {
			t.Fatal(got)
		}
		s.set(func() {
			for _, path := range []string{wellKnown, "/keys"} {
				s.answers[path] = func(*http.Request) (*http.Response, error) { return textOf(503, "out of order") }
			}
		})
		time.Sleep(keptFor - refreshEvery)
		if got := w.name(s.token(t, nil)); got != good {
			t.Errorf("with keys of almost a day ago: %s", got)
		}
		if facts, _ := w.Facts("east"); facts.Failure == nil || !strings.Contains(facts.Failure.Error(), "the server answers 503") {
			t.Errorf("what the status says: %v", facts.Failure)
		}
		time.Sleep(3 * refreshEvery)
		if got := w.name(token); got != "IssuerUnavailable" {
			t.Errorf("with keys of more than a day ago: %s", got)
		}
		s.set(func() { clear(s.answers) })
		time.Sleep(refreshEvery)
		synctest.Wait()
		if got := w.name(token); got != good {
			t.Errorf("when the issuer is back: %s", got)
		}
	})
}

// TestSlowIssuerHoldsNobodyUp: reviews of a slow issuer's tokens wait a short while, no more than a part of all reviews do so at a
// time, and those of another issuer are answered meanwhile.
func TestSlowIssuerHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := newStranger(t, "https://slow.example"), newStranger(t, "https://quick.example")
		slow.after = time.Minute
		w := newWorld(t, Config{Waiting: 10}, slow, quick)
		w.put("slow", slow.url, nil)
		w.put("quick", quick.url, nil)
		token, begin := slow.token(t, nil), time.Now()
		waiting := make(chan map[string]int, 1)
		go func() { waiting <- w.all(50, token) }()
		synctest.Wait()
		if got := w.name(quick.token(t, nil)); got != good || time.Since(begin) != 0 {
			t.Errorf("another issuer's token: %s after %s", got, time.Since(begin))
		}
		if got := <-waiting; got["IssuerUnavailable"] != 5 || got["Undecided"] != 45 || time.Since(begin) != patience {
			t.Errorf("the slow issuer's: %v after %s", got, time.Since(begin))
		}
		if got := w.name(token); got != "IssuerUnavailable" || time.Since(begin) != patience {
			t.Errorf("a later one: %s after %s", got, time.Since(begin))
		}
	})
}

// TestManyIssuersAreReadApart: after a start, five thousand issuers are read over the whole time between two reads, a few at a time,
// and a token that needs keys does not wait for them.
func TestManyIssuersAreReadApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const issuers = 5000
		one := newStranger(t, theURL)
		hung := newStranger(t, "https://hung.example")
		hung.after = time.Minute
		w := newWorld(t, Config{}, one)
		var begun [10]int
		var mu sync.Mutex
		start := time.Now()
		w.Config.Client = func(of *v1alpha1.TrustedIssuer) (Client, error) {
			if of.Spec.URL == theURL {
				return one, nil
			}
			mu.Lock()
			defer mu.Unlock()
			begun[min(time.Since(start)*10/refreshEvery, 9)]++
			return nil, fmt.Errorf("gone")
		}
		for n := range issuers {
			w.put(fmt.Sprint("i", n), fmt.Sprintf("https://%d.example", n), nil)
		}
		w.put("one", theURL, nil)
		w.startSchedule()
		if got := w.name(one.token(t, nil)); got != good {
			t.Error(got)
		}
		time.Sleep(refreshEvery / 10)
		mu.Lock()
		if begun[0] < issuers/20 || begun[0] > issuers/2 {
			t.Errorf("%d of %d issuers are read in the first tenth of the time", begun[0], issuers)
		}
		mu.Unlock()
	})
}
