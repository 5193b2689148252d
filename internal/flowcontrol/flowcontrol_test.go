package flowcontrol

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// machine is processors that answer so many requests in a millisecond, and the queue in front of them.
type machine struct {
	queue    atomic.Int64
	perMilli int64
	// paused says that the processors do something else, and tell nothing.
	paused atomic.Bool
}

// lull is that of the processors.
func (m *machine) lull() {
	for time.Sleep(tick); m.paused.Load(); {
		time.Sleep(tick)
	}
}

// work takes requests from the queue until the context ends.
func (m *machine) work(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(time.Millisecond)
		if !m.paused.Load() {
			m.queue.Add(-min(m.queue.Load(), m.perMilli))
		}
	}
}

// tally is what became of the requests of a caller.
type tally struct {
	mu             sync.Mutex
	went, shed     int
	waited, shedAt []time.Duration // how long a request waited, by what became of it
}

func (t *tally) note(goesOn bool, waited time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if goesOn {
		t.went, t.waited = t.went+1, append(t.waited, waited)
	} else {
		t.shed, t.shedAt = t.shed+1, append(t.shedAt, waited)
	}
}

func longest(of []time.Duration) (most time.Duration) {
	for _, d := range of {
		most = max(most, d)
	}
	return most
}

// later counts the requests that went on after a longer wait.
func (t *tally) later(than time.Duration) (n int) {
	for _, d := range t.waited {
		if d > than {
			n++
		}
	}
	return n
}

// scene is a machine with its turns, in a bubble.
type scene struct {
	*machine
	turns *Turns
	wg    sync.WaitGroup
	// dearer is by how much the requests of a caller are dearer than they seem before their turn.
	dearer map[string]int
}

const room = 20

// play runs a scene with a machine that answers 10 requests in a millisecond.
func play(t *testing.T, act func(ctx context.Context, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &machine{perMilli: 10}
		s := &scene{machine: m, turns: newTurns(room, room, func() int { return int(m.queue.Load()) }, m.lull)}
		ctx, stop := context.WithCancel(t.Context())
		s.wg.Go(func() { m.work(ctx) })
		act(ctx, s)
		stop()
		s.wg.Wait()
	})
}

// ask has a caller make a request, which takes a place in the queue of the processors if it goes on.
func (s *scene) ask(ctx context.Context, caller string, cost int) (goesOn bool, waited time.Duration) {
	began := time.Now()
	goesOn = s.turns.AtOnce() || s.turns.Wait(ctx, caller, cost)
	if goesOn {
		s.turns.Charge(caller, s.dearer[caller])
		s.queue.Add(int64(cost + s.dearer[caller]))
	}
	return goesOn, time.Since(began)
}

// send has a caller make so many requests a millisecond for a time, whether others are answered or not.
func (s *scene) send(caller string, cost, perMilli int, every, length time.Duration) *tally {
	t := &tally{}
	s.wg.Go(func() {
		for began := time.Now(); time.Since(began) < length; time.Sleep(every) {
			for range perMilli {
				s.wg.Go(func() { t.note(s.ask(context.Background(), caller, cost)) })
			}
		}
	})
	return t
}

// settle lets a time pass, and what it began end.
func settle(length time.Duration) {
	time.Sleep(length)
	synctest.Wait()
}

// TestUnloaded: while the processors keep up, requests go on at once, whoever makes them.
func TestUnloaded(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		calm := s.send("ann", 1, 9, time.Millisecond, time.Second)
		settle(2 * time.Second)
		if calm.shed > 0 || longest(calm.waited) > 0 {
			t.Errorf("%d shed, one waited %s", calm.shed, longest(calm.waited))
		}
	})
}

// TestBurst: many requests at once are no overload.
func TestBurst(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		burst := s.send("ann", 1, 50, 20*time.Millisecond, time.Second)
		settle(2 * time.Second)
		if burst.shed > 0 || longest(burst.waited) > 0 {
			t.Errorf("%d shed, one waited %s", burst.shed, longest(burst.waited))
		}
	})
}

// TestOverload: of four times what the processors can answer, as much as they can goes on, after a short wait, and the rest is
// shed, each within a second. A second after the end nothing waits any more.
func TestOverload(t *testing.T) {
	for _, callers := range []int{1, 10, 20} {
		t.Run(fmt.Sprint(callers), func(t *testing.T) {
			play(t, func(_ context.Context, s *scene) {
				const length = 2 * time.Second
				var all []*tally
				for i := range callers {
					all = append(all, s.send(fmt.Sprint("caller-", i), 1, 40/callers, time.Millisecond, length))
				}
				settle(length / 2)
				if queue := s.queue.Load(); queue > 2*room {
					t.Errorf("%d wait for the processors", queue)
				}
				settle(length/2 + maxHold + 2*calm)
				went := 0
				for i, caller := range all {
					went += caller.went
					if longest(caller.waited) > standingLate+2*lateAfter || longest(caller.shedAt) > maxHold+tick {
						t.Errorf("caller %d: one waited %s and went on, one was shed after %s", i, longest(caller.waited), longest(caller.shedAt))
					}
					if late := caller.later(maxWait + tick); late > caller.went*3/100 {
						t.Errorf("caller %d: %d of %d waited longer than %s", i, late, caller.went, maxWait)
					}
					if late := caller.later(maxWait / 2); late > caller.went/2 {
						t.Errorf("caller %d: %d of %d waited longer than %s", i, late, caller.went, maxWait/2)
					}
					if share := 20_000 / callers; caller.went < share*8/10 || caller.shed < 2*share {
						t.Errorf("caller %d: %d went on and %d were shed; a fair share is %d", i, caller.went, caller.shed, share)
					}
				}
				if went < 19_000 {
					t.Errorf("%d requests went on, the processors can answer 20000", went)
				}
				s.calm(t)
			})
		})
	}
}

// calm checks that requests go on at once.
func (s *scene) calm(t *testing.T) {
	t.Helper()
	if goesOn, waited := s.ask(t.Context(), "later", 1); !goesOn || waited > 0 {
		t.Errorf("a second after the end: went on %t, after %s", goesOn, waited)
	}
	if s.turns.crowded.Load() {
		t.Error("requests take turns still")
	}
}

// TestFairness: beside one who sends ten times what the processors can answer, a caller below the fair share has all requests
// answered, soon. So has one whose requests are dear, in proportion.
func TestFairness(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		flood := s.send("flood", 1, 100, time.Millisecond, 2*time.Second)
		settle(500 * time.Millisecond)
		polite := s.send("polite", 1, 2, time.Millisecond, time.Second)
		dear := s.send("dear", 8, 1, 10*time.Millisecond, time.Second)
		settle(3 * time.Second)
		for name, caller := range map[string]*tally{"polite": polite, "dear": dear} {
			if caller.shed > 0 || caller.went == 0 || longest(caller.waited) > maxWait {
				t.Errorf("%s: %d went on, %d were shed, one waited %s", name, caller.went, caller.shed, longest(caller.waited))
			}
		}
		if flood.shed == 0 {
			t.Error("no request of the flood was shed")
		}
		s.calm(t)
	})
}

// TestDearFlood: requests that cost eight times as much get an eighth of the turns.
func TestDearFlood(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		dear := s.send("dear", 8, 10, time.Millisecond, 2*time.Second)
		cheap := s.send("cheap", 1, 40, time.Millisecond, 2*time.Second)
		settle(4 * time.Second)
		if ratio := float64(cheap.went) / float64(dear.went); ratio < 6 || ratio > 10 {
			t.Errorf("%d cheap and %d dear ones went on", cheap.went, dear.went)
		}
	})
}

// TestCharged: requests that turn out to be eight times as dear when they have had their turn get an eighth of the turns, and others
// wait no longer for that.
func TestCharged(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		s.dearer = map[string]int{"lists": 7}
		lists := s.send("lists", 1, 10, time.Millisecond, 2*time.Second)
		cheap := s.send("cheap", 1, 40, time.Millisecond, 2*time.Second)
		polite := s.send("polite", 1, 1, 5*time.Millisecond, 2*time.Second)
		settle(4 * time.Second)
		if ratio := float64(cheap.went) / float64(lists.went); ratio < 6 || ratio > 10 {
			t.Errorf("%d cheap ones and %d lists went on", cheap.went, lists.went)
		}
		if polite.shed > 0 || longest(polite.waited) > maxWait {
			t.Errorf("polite: %d were shed, one waited %s", polite.shed, longest(polite.waited))
		}
		s.calm(t)
	})
}

// TestChargedWithoutCrowd: nothing is held against a caller while requests go on at once.
func TestChargedWithoutCrowd(t *testing.T) {
	var none *Turns
	none.Charge("ann", 100)
	play(t, func(_ context.Context, s *scene) {
		s.turns.Charge("ann", 100)
		s.queue.Store(100)
		s.turns.begin()
		one := s.send("ann", 1, 2, time.Millisecond, 2*time.Millisecond)
		settle(time.Second)
		if one.shed > 0 || longest(one.waited) > maxWait {
			t.Errorf("%d were shed, one waited %s", one.shed, longest(one.waited))
		}
	})
}

// TestHeldBack: no more than maxHeld requests wait to be told that they are shed.
func TestHeldBack(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		s.send("flood", 1, 500, time.Millisecond, 100*time.Millisecond)
		for range 100 {
			settle(time.Millisecond)
			s.turns.mu.Lock()
			if held := len(s.turns.line.held); held > maxHeld {
				t.Fatalf("%d requests are held", held)
			}
			s.turns.mu.Unlock()
		}
		settle(2 * time.Second)
		s.calm(t)
	})
}

// TestClientGivesUp: a request whose client is gone waits no longer, and takes no turn.
func TestClientGivesUp(t *testing.T) {
	play(t, func(ctx context.Context, s *scene) {
		s.queue.Store(100_000) // nothing gets on
		s.turns.begin()
		ctx, leave := context.WithTimeout(ctx, 5*time.Millisecond)
		defer leave()
		var gone tally
		for range 100 {
			s.wg.Go(func() { gone.note(s.ask(ctx, "gone", 1)) })
		}
		settle(6 * time.Millisecond)
		s.queue.Store(0)
		settle(time.Second)
		if gone.shed < 70 || longest(gone.shedAt) > 5*time.Millisecond {
			t.Errorf("%d gave up, the last after %s", gone.shed, longest(gone.shedAt))
		}
		s.calm(t)
	})
}

// TestOtherWork: while something other than requests keeps the processors busy, requests go on all the same.
func TestOtherWork(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		s.perMilli = 0
		s.queue.Store(1000)
		s.turns.begin()
		few := s.send("ann", 8, 1, 20*time.Millisecond, 200*time.Millisecond)
		settle(time.Second)
		s.queue.Store(0)
		settle(time.Second)
		if few.shed > 0 || few.went != 10 || longest(few.waited) > maxWait {
			t.Errorf("%d went on, %d were shed, one waited %s", few.went, few.shed, longest(few.waited))
		}
	})
}

// TestPause: nothing is shed for a moment in which nothing gets on.
func TestPause(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		s.turns.begin()
		calm := s.send("ann", 1, 6, time.Millisecond, 3*time.Second)
		for range 5 {
			settle(300 * time.Millisecond)
			s.queue.Add(250) // 25 ms of something other than requests
		}
		settle(2 * time.Second)
		if calm.shed > 0 || longest(calm.waited) < 2*maxWait {
			t.Errorf("%d shed of %d, one waited %s", calm.shed, calm.shed+calm.went, longest(calm.waited))
		}
		s.calm(t)
	})
}

// TestTicksFarApart: on a machine so slow that ticks come later than requests may be late, a few go on at each, and the rest is shed.
func TestTicksFarApart(t *testing.T) {
	l, now := newLine(), time.Now()
	var all []*waiter
	for range 100 {
		for range 20 {
			all = append(all, l.add("ann", 1, now))
		}
		now = now.Add(2 * standingLate)
		l.advance(now, 0)
	}
	went, shed := 0, len(l.held)
	for _, w := range all {
		select {
		case goesOn := <-w.turn:
			if goesOn {
				went++
			} else {
				shed++
			}
		default:
		}
	}
	if went < 100 || went > 100*lateTurns || shed < 1000 {
		t.Errorf("%d of %d went on, %d were shed", went, len(all), shed)
	}
}

// TestNone: without turns all requests go on at once.
func TestNone(t *testing.T) {
	var none *Turns
	if !none.AtOnce() {
		t.Error("a request has to wait")
	}
}

// TestProcess reads the length of the queue of this process.
func TestProcess(t *testing.T) {
	turns, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if queue := turns.runnable(); queue < 0 || queue > 10_000 {
		t.Errorf("%d goroutines wait for a processor", queue)
	}
}

// BenchmarkAtOnce is what a request pays while there is no overload.
func BenchmarkAtOnce(b *testing.B) {
	turns, err := New()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		turns.AtOnce()
	}
}

// TestSustainedLoad: a caller who has so many requests out at once that the processors are just busy has none shed, also where they stop
// for some milliseconds now and then.
func TestSustainedLoad(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		s.turns.begin()
		var all tally
		end := time.Now().Add(3 * time.Second)
		for range 50 {
			s.wg.Go(func() {
				for time.Now().Before(end) {
					all.note(s.ask(context.Background(), "ann", 1))
					time.Sleep(time.Millisecond + time.Duration(s.queue.Load())*100*time.Microsecond) // until it is answered
				}
			})
		}
		for time.Now().Before(end) {
			settle(200 * time.Millisecond)
			for range 10 {
				s.paused.Store(true)
				settle(8 * time.Millisecond)
				s.paused.Store(false)
				settle(2 * time.Millisecond)
			}
		}
		settle(time.Second)
		if all.shed > 0 || all.went < 12_000 {
			t.Errorf("%d went on, %d were shed, one waited %s", all.went, all.shed, longest(all.waited))
		}
	})
}

// TestHalfLoad: after an overload requests go on at once again although half of what the processors can answer still comes, in bursts.
func TestHalfLoad(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		s.turns.begin()
		s.send("ann", 1, 25, 5*time.Millisecond, time.Second)
		settle(500 * time.Millisecond)
		if s.turns.crowded.Load() {
			t.Error("requests take turns still")
		}
		settle(time.Second)
	})
}

// TestShedComeBackApart: requests that are shed at once are answered one after the other, so that the next ones of their clients are not
// one wave.
func TestShedComeBackApart(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		s.turns.begin()
		flood := s.send("flood", 1, 900, time.Second, 500*time.Millisecond)
		settle(3 * time.Second)
		in := map[time.Duration]int{}
		for _, after := range flood.shedAt {
			in[after.Truncate(10*time.Millisecond)]++
		}
		for at, n := range in {
			if at < maxHold && n > 20 || n > flood.shed/2 {
				t.Errorf("%d of %d are answered within 10 ms after %s", n, flood.shed, at)
			}
		}
		if flood.shed < 300 {
			t.Errorf("%d were shed", flood.shed)
		}
	})
}

// TestLull: there is a lull as soon as a goroutine blocks, and another one after it.
func TestLull(t *testing.T) {
	l, err := newLull()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := l.look(time.Now().Add(time.Minute)); err != nil || l.marked {
			t.Fatalf("a look: %v, marked %t", err, l.marked)
		}
	}
	if err := l.look(time.Now().Add(-time.Second)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a look that is too late: %v", err)
	}
	if err := l.look(time.Now().Add(time.Minute)); err != nil || l.marked {
		t.Errorf("the next one: %v, marked %t", err, l.marked)
	}
	if err := l.in.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	l.wait() // does not spin, and does not wait for ever
	if took := time.Since(began); took < tick {
		t.Errorf("with a broken pipe one waits %s", took)
	}
}

// TestManyFloods: of many callers who all send more than a fair share, those whose turn it is do not wait for all others.
func TestManyFloods(t *testing.T) {
	play(t, func(_ context.Context, s *scene) {
		var all []*tally
		for i := range 100 {
			all = append(all, s.send(fmt.Sprint("caller-", i), 1, 2, 5*time.Millisecond, time.Second))
		}
		settle(3 * time.Second)
		went, late := 0, 0
		for _, caller := range all {
			went += caller.went
			late += caller.later(maxWait + tick)
		}
		if went < 9_000 || late > went*5/100 {
			t.Errorf("%d went on, %d of them after more than %s", went, late, maxWait)
		}
		s.calm(t)
	})
}
