// Package flowcontrol provides the order in which requests have their turn while there are more than the processors can
// answer.
//
// A limit of the requests in flight does not bound the time that requests wait for a processor: a token review is in flight
// for microseconds, and waits before that, in the queue of Go's scheduler, where all callers are alike. So the length of
// that queue is what Turns looks at. While it stays short, requests go on at once. When it has been long for some time,
// requests stop and wait for their turn, in one line for each caller. Every tick, as many of them go on as the queue of the
// scheduler has room for: one of each caller, round and round. A caller who sends more than a fair share waits behind the
// own requests only.
//
// Kubernetes' priority and fairness does something else: it gives requests places, by rules in the store, and a place says
// nothing about a request that is in flight for microseconds.
//
// A request that has waited too long is shed, unless that was but a moment in which nothing got on. Its answer costs most of what
// a token review costs, so it is sent when no other request waits, or after a second. A client that sends its next request when
// it has the answer is slowed down by that.
package flowcontrol

import (
	"context"
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
	// perProcessor is how many goroutines may wait for each processor: at some 10 µs each, they wait less than a millisecond.
	perProcessor = 10
	// tick is the time between two turns.
	tick = 250 * time.Microsecond
	// lateTurns is how many turns there are at least at a tick that comes late, of which a request on the long way takes eight.
	lateTurns = 8
	// calmTicks is after how many ticks without a waiting request, and with a short queue, requests go on at once again.
	calmTicks = 200

	// maxWait is how long a request waits for its turn, and maxWaitAlone how long if it is the caller's only one.
	maxWait      = 10 * time.Millisecond
	maxWaitAlone = 250 * time.Millisecond
	// standingLate is for how long requests must have waited too long, again and again, before any is shed.
	standingLate = 50 * time.Millisecond
	// maxHold is how long after its arrival a shed request is answered at the latest, and maxHeld how many wait for that.
	maxHold = time.Second
	maxHeld = 1000
)

// Turns gives requests their turns. A request asks AtOnce first, and Wait if that says no. With a nil one all go on at once.
type Turns struct {
	// runnable returns how many goroutines wait for a processor.
	runnable func() int
	// room is how many may wait.
	room int

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
func New() *Turns {
	queue := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	var mu sync.Mutex
	return newTurns(perProcessor*runtime.GOMAXPROCS(0), func() int {
		mu.Lock()
		defer mu.Unlock()
		metrics.Read(queue)
		return int(queue[0].Value.Uint64())
	})
}

func newTurns(room int, runnable func() int) *Turns {
	registered()
	return &Turns{runnable: runnable, room: room, epoch: time.Now(), line: newLine()}
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
	switch long := t.runnable() > t.room; {
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
	if !t.crowded.Load() || t.line.takeSpare(cost) {
		t.mu.Unlock()
		return true
	}
	w := &waiter{arrived: time.Now(), cost: cost, turn: make(chan bool, 1)}
	t.line.add(caller, w)
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
	t.line.charge(caller, cost, t.room)
}

// run gives turns until requests can go on at once.
func (t *Turns) run() {
	for calm := 0; calm < calmTicks || !t.end(); {
		time.Sleep(tick)
		queue := t.runnable()
		t.mu.Lock()
		busy := t.line.advance(time.Now(), t.room-queue)
		t.mu.Unlock()
		if calm++; busy || queue > t.room/2 {
			calm = 0
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
