// Package testclock provides a clock that runs like the machine's and that tests move forward.
package testclock

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Clock says the machine's time plus all the durations by which it was advanced. Timers and tickers of the clock end when
// the clock reaches their time, so an advance ends them early. It is safe for concurrent use.
type Clock struct {
	mu      sync.RWMutex
	ahead   time.Duration
	waiting map[*timer]struct{}
}

var _ clock.WithTicker = (*Clock)(nil)

// New returns a clock that says the machine's time.
func New() *Clock { return &Clock{waiting: map[*timer]struct{}{}} }

// Advance moves the clock forward. A negative duration is refused with a panic: timers that have ended can't wait again.
func (c *Clock) Advance(d time.Duration) {
	if d < 0 {
		panic("a clock is moved forward only")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	for t := range c.waiting {
		t.machine.Reset(t.due.Sub(time.Now().Add(c.ahead)))
	}
}

// Ahead returns by how much the clock is ahead of the machine's.
func (c *Clock) Ahead() time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.ahead
}

// Now returns the time of this clock.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Ahead()) }

// Since returns the time that has passed on this clock.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// After returns the channel of a new timer.
func (c *Clock) After(d time.Duration) <-chan time.Time { return c.NewTimer(d).C() }

// Tick returns the channel of a new ticker.
func (c *Clock) Tick(d time.Duration) <-chan time.Time { return c.NewTicker(d).C() }

// Sleep returns when the duration has passed on this clock.
func (c *Clock) Sleep(d time.Duration) { <-c.After(d) }

// NewTimer returns a timer.
func (c *Clock) NewTimer(d time.Duration) clock.Timer { return c.start(d, 0) }

// NewTicker returns a ticker. An advance over several periods is one tick.
func (c *Clock) NewTicker(d time.Duration) clock.Ticker {
	if d <= 0 {
		panic("the period of a ticker is positive")
	}
	return ticker{c.start(d, d)}
}

// timer is a timer, or a ticker if it has a period.
type timer struct {
	clock   *Clock
	channel chan time.Time
	period  time.Duration
	due     time.Time   // guarded by the clock's lock
	machine *time.Timer // runs as long as the timer waits
}

func (c *Clock) start(d, period time.Duration) *timer {
	t := &timer{clock: c, channel: make(chan time.Time, 1), period: period}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.wait(d)
	return t
}

// wait has the timer end in d. The clock's lock is held.
func (t *timer) wait(d time.Duration) {
	t.due = time.Now().Add(t.clock.ahead + d)
	t.clock.waiting[t] = struct{}{}
	if t.machine == nil {
		t.machine = time.AfterFunc(d, t.end)
		return
	}
	t.machine.Reset(d)
}

// end is called when the time has come. A call that an advance or a reset has overtaken is too early or too late.
func (t *timer) end() {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	now := time.Now().Add(t.clock.ahead)
	if _, waits := t.clock.waiting[t]; !waits || now.Before(t.due) {
		return
	}
	delete(t.clock.waiting, t)
	select {
	case t.channel <- now:
	default: // the last one has not been read
	}
	if t.period > 0 {
		t.wait(t.period)
	}
}

// C returns the channel that receives the time.
func (t *timer) C() <-chan time.Time { return t.channel }

// Stop keeps the timer from ending and reports whether it was waiting.
func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.halt()
}

// Reset has the timer end in d and reports whether it was waiting.
func (t *timer) Reset(d time.Duration) bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	waited := t.halt()
	t.wait(d)
	return waited
}

// halt stops the timer. As with time.Timer, no time of before is in the channel then. The clock's lock is held.
func (t *timer) halt() bool {
	_, waited := t.clock.waiting[t]
	delete(t.clock.waiting, t)
	t.machine.Stop()
	select {
	case <-t.channel:
	default:
	}
	return waited
}

// ticker is a timer as clock.Ticker has it.
type ticker struct{ *timer }

// Stop ends the ticks.
func (t ticker) Stop() { t.timer.Stop() }
