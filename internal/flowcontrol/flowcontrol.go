// Package flowcontrol provides the order in which requests have their turn while there are more than the processors can
// answer.
//
// A limit of the requests in flight does not bound the time that requests wait for a processor: a token review is in flight
// for microseconds, and waits before that, in the queue of Go's scheduler, where all callers are alike. So the length of
// that queue is what Turns looks at. While it stays short, requests go on at once. When it has been long for some time,
// requests stop and wait for their turn, in one line for each caller. Whenever a processor has nothing to run, a few of them go on: one
// of each caller, round and round. A caller who sends more than a fair share waits behind the own requests only.
//
// Kubernetes' priority and fairness does something else: it gives requests places, by rules in the store, and a place says
// nothing about a request that is in flight for microseconds.
//
// When requests have been late for some time, and not for a moment in which nothing got on, that is an overload: of each caller the
// newest request goes on first, and one that has waited too long is shed. Its answer costs most of what a token review costs, so answers
// are sent one after the other, each after most of a second. A client that sends its next request when it has the answer is slowed down
// by that.
package flowcontrol

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is the time between two looks at the queue of the scheduler while requests go on at once. Requests take turns
	// when standingLooks more of them found it long than short. Connections become readable by the hundred, so that a queue
	// that never ends is short now and then.
	lookEvery     = time.Millisecond
	standingLooks = 8
	// lookShare is of how many requests one looks at the clock, which costs more than all else while there is no overload.
	lookShare = 8
	// longQueue is how many goroutines wait for each processor when the queue is long.
	longQueue = 10
	// shortQueue is how many may wait for each processor when a request has its turn. More of them put off Go's next look at the
	// network, fewer let a processor wait.
	shortQueue = 2
	// tick is the time between two ticks while no request waits. While some do, there is one whenever a processor has nothing to run, or
	// after maxTick.
	tick    = 250 * time.Microsecond
	maxTick = time.Millisecond
	// calm is for how long no request has waited for more than calmWait when requests go on at once again.
	calm     = 50 * time.Millisecond
	calmWait = 2 * maxTick

	// lateTurns is how many turns there are at least at a tick that comes lateTick after the last one.
	lateTick  = 10 * time.Millisecond
	lateTurns = 8

	// lateAfter is after how long a request is late, and standingLate for how long some must have been late, again and again, when that
	// is an overload.
	lateAfter    = 10 * time.Millisecond
	standingLate = 25 * time.Millisecond
	// maxStep is how far the clock of the line goes on at a tick.
	maxStep = maxTick
	// overload is how long an overload lasts after a sign of it.
	overload = 500 * time.Millisecond
	// maxWait is how long a request waits for its turn in an overload, and maxWaitAlone how long if it is the caller's only one.
	maxWait      = 3 * time.Millisecond
	maxWaitAlone = 250 * time.Millisecond
	// hold is the time in which as many shed requests are answered as wait for it, and maxHold how long after its arrival one is
	// answered at the latest. No more than maxHeld wait.
	hold    = 800 * time.Millisecond
	maxHold = time.Second
	maxHeld = 1000
)

// Turns gives requests their turns. A request asks AtOnce first, and Wait if that says no. With a nil one all go on at once.
type Turns struct {
	// runnable returns how many goroutines wait for a processor. More than long are too many, and below room one more is welcome.
	runnable   func() int
	long, room int
	// lull returns when a processor has had nothing to run.
	lull func()

	epoch time.Time
	// asked counts the requests that went on at once.
	asked atomic.Uint32
	// next is when the queue is looked at next, after the epoch, and standing how many more looks found it long than short.
	next     atomic.Int64
	standing atomic.Int32
	// crowded is set while requests take turns.
	crowded atomic.Bool

	mu   sync.Mutex
	line line
}

// New returns the turns at the processors of this process. It should be nothing but a server: the goroutines of all parts
// count.
func New() (*Turns, error) {
	lull, err := newLull()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	queue := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	var mu sync.Mutex
	runnable := func() int {
		mu.Lock()
		defer mu.Unlock()
		metrics.Read(queue)
		return int(queue[0].Value.Uint64())
	}
	processors := runtime.GOMAXPROCS(0)
	return newTurns(longQueue*processors, shortQueue*processors, runnable, lull.wait), nil
}

func newTurns(long, room int, runnable func() int, lull func()) *Turns {
	Register()
	return &Turns{runnable: runnable, long: long, room: room, lull: lull, epoch: time.Now(), line: newLine()}
}

// AtOnce reports whether a request may go on without waiting.
func (t *Turns) AtOnce() bool {
	if t == nil {
		return true
	}
	if t.crowded.Load() {
		return false
	}
	if t.asked.Add(1)%lookShare == 0 {
		t.look(time.Since(t.epoch))
	}
	return true
}

// look looks at the queue of the scheduler if it is time to.
func (t *Turns) look(now time.Duration) {
	next := t.next.Load()
	if int64(now) < next || !t.next.CompareAndSwap(next, int64(now+lookEvery)) {
		return
	}
	switch long := t.runnable() > t.long; {
	case long && t.standing.Add(1) >= standingLooks:
		t.begin()
	case !long && t.standing.Load() > 0:
		t.standing.Add(-1)
	}
}

// begin has requests take turns from now on.
func (t *Turns) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.crowded.Swap(true) {
		registered().Crowded.Set(1)
		t.line.ticked = time.Now()
		go t.run()
	}
}

// Wait returns when a caller's request may go on. It reports false for one that is to be shed. cost is how much dearer the
// request is than the cheapest.
func (t *Turns) Wait(ctx context.Context, caller string, cost int) bool {
	t.mu.Lock()
	if !t.crowded.Load() || t.line.takeSpare() {
		t.mu.Unlock()
		return true
	}
	w := t.line.add(caller, cost, time.Now())
	t.mu.Unlock()
	registered().Waited.Inc()
	goesOn := false
	select {
	case goesOn = <-w.turn:
	case <-ctx.Done():
		t.mu.Lock()
		w.gone = true
		t.mu.Unlock()
	}
	if !goesOn {
		registered().Shed.Inc()
	}
	return goesOn
}

// Charge notes that a caller's request, which had its turn, turns out to be dearer by so much: it takes further turns, which the
// caller's other requests wait for first.
func (t *Turns) Charge(caller string, cost int) {
	if t == nil || cost <= 0 || !t.crowded.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line.charge(caller, cost)
}

// run gives turns until requests can go on at once.
func (t *Turns) run() {
	waiting := true
	for calmSince := time.Now(); time.Since(calmSince) < calm || !t.end(); {
		if waiting {
			t.lull()
		} else {
			time.Sleep(tick)
		}
		room := t.room - t.runnable()
		now := time.Now()
		t.mu.Lock()
		longest := t.line.advance(now, room)
		waiting = len(t.line.order) > 0
		t.mu.Unlock()
		if longest > calmWait {
			calmSince = now
		}
	}
}

// end has requests go on at once again, unless some wait.
func (t *Turns) end() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line.busy() {
		return false
	}
	t.standing.Store(0)
	t.crowded.Store(false)
	registered().Crowded.Set(0)
	return true
}
