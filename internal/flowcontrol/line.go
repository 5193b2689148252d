package flowcontrol

import (
	"slices"
	"time"
)

// waiter is a request that waits.
type waiter struct {
	caller  *caller
	arrived time.Time
	// joined is when it arrived by the clock of the line.
	joined time.Duration
	cost   int
	// turn receives whether the request goes on.
	turn chan bool
	// gone says that its client has given up.
	gone bool
}

// line holds the requests that wait: those with a chance, by caller, and those that are shed.
type line struct {
	callers map[string]*caller
	// order holds the callers with waiting requests. The one at next has the next turn.
	order []*caller
	next  int
	// held are the requests that are shed, in the order in which they came to it, and due is how many of them should have been answered
	// by now.
	held []*waiter
	due  float64
	// spare is what the last tick had left over.
	spare int
	// ticked is when the last tick was.
	ticked time.Time
	// clock is the time that has passed in the line. It goes on by maxStep at most between two ticks: requests are not late for having
	// waited through a pause of the machine, or of the processors for a collection of garbage. There is room for them right after it.
	clock time.Duration
	// lateSince is since when there have been late requests, again and again, and lateAt when there was one last, by the clock of the
	// line. The first is negative if there is none.
	lateSince, lateAt time.Duration
	// overloadedAt is when there was an overload last.
	overloadedAt time.Time
}

// caller holds the requests of one caller, the newest last.
type caller struct {
	name    string
	waiting []*waiter
	// held is how many are shed and not answered.
	held int
	// debt is in how many rounds the caller is passed over, since its last request was dear.
	debt int
}

func newLine() line { return line{callers: map[string]*caller{}, lateSince: -1} }

// takeSpare takes a turn that was left over, if there is one.
func (l *line) takeSpare() bool {
	if l.spare <= 0 || len(l.order) > 0 {
		return false
	}
	l.spare--
	return true
}

// add puts a request behind the others of its caller.
func (l *line) add(name string, cost int, now time.Time) *waiter {
	c := l.callers[name]
	if c == nil {
		c = &caller{name: name}
		l.callers[name] = c
	}
	if len(c.waiting) == 0 {
		l.order = append(l.order, c)
	}
	w := &waiter{caller: c, arrived: now, joined: l.clock, cost: cost, turn: make(chan bool, 1)}
	c.waiting = append(c.waiting, w)
	return w
}

// charge has a caller passed over in so many rounds.
func (l *line) charge(name string, cost int) {
	if c := l.callers[name]; c != nil {
		c.debt += cost
	}
}

// busy reports whether a request waits.
func (l *line) busy() bool { return len(l.order)+len(l.held) > 0 }

// advance is a tick. It gives as many turns as there is room for, and one at least: what is in the queue of the scheduler may be
// something other than requests. Where that lets ticks come late, a few go on. It returns how long a request has waited at most.
func (l *line) advance(now time.Time, room int) (longest time.Duration) {
	passed := now.Sub(l.ticked)
	l.ticked = now
	l.clock += min(passed, maxStep)
	longest = l.longest()
	l.notice(now, longest >= lateAfter)
	least := 1
	if passed >= lateTick {
		least = lateTurns
	}
	l.spare = max(room, least)
	for l.spare > 0 && len(l.order) > 0 {
		if l.serve(now) {
			l.spare--
		}
	}
	if l.overloaded(now) {
		l.expire(now)
	}
	l.shed(now, passed)
	return longest
}

// longest returns how long a request that has a chance has waited at most, by the clock of the line.
func (l *line) longest() (longest time.Duration) {
	for _, c := range l.order {
		longest = max(longest, l.clock-c.waiting[0].joined)
	}
	return longest
}

// notice notes an overload: requests have been late for some time, again and again.
func (l *line) notice(now time.Time, late bool) {
	switch {
	case late && l.lateSince >= 0:
		l.lateAt = l.clock
		if l.clock-l.lateSince >= standingLate {
			l.overloadedAt = now
		}
	case late:
		l.lateSince, l.lateAt = l.clock, l.clock
	case l.clock-l.lateAt > standingLate:
		l.lateSince = -1
	}
}

func (l *line) overloaded(now time.Time) bool { return now.Sub(l.overloadedAt) < overload }

// serve has the caller whose turn it is go on with a request. It reports false if none went on.
func (l *line) serve(now time.Time) bool {
	l.next %= len(l.order)
	c := l.order[l.next]
	if c.debt > 0 {
		c.debt--
		l.next++
		return false
	}
	w := c.take(l.overloaded(now) && now.Sub(c.waiting[0].arrived) >= maxWait/2)
	l.next++
	if len(c.waiting) == 0 {
		l.leave(l.next - 1)
	}
	if w.gone {
		return false
	}
	w.turn <- true
	c.debt = w.cost - 1
	return true
}

// take takes the oldest request, or the newest: in an overload all would be answered late in their order, and so many are answered soon
// and the others shed.
func (c *caller) take(newest bool) *waiter {
	last := len(c.waiting) - 1
	w := c.waiting[0]
	if newest {
		w = c.waiting[last]
		c.waiting = c.waiting[:last]
		return w
	}
	c.waiting = c.waiting[1:]
	return w
}

// expire takes away the chance of the requests that have waited too long in an overload, which goes on as long as there are any.
func (l *line) expire(now time.Time) {
	for i := 0; i < len(l.order); i++ {
		c := l.order[i]
		for c.late(now) {
			l.overloadedAt = now
			w := c.take(false)
			if !w.gone {
				l.held = append(l.held, w)
				c.held++
			}
		}
		if len(c.waiting) == 0 {
			l.leave(i)
			i--
		}
	}
}

// late reports whether the oldest request of a caller has waited too long. The only one of a caller who sends no more than a fair share
// keeps its chance for longer: it is the next to go on, unless something other than requests keeps the processors busy.
func (c *caller) late(now time.Time) bool {
	patience := maxWait
	if len(c.waiting) == 1 && c.held == 0 {
		patience = maxWaitAlone
	}
	return len(c.waiting) > 0 && now.Sub(c.waiting[0].arrived) >= patience
}

// shed answers held requests, one after the other: they come back, and all at once would be the next overload.
func (l *line) shed(now time.Time, passed time.Duration) {
	l.due += float64(len(l.held)) * passed.Seconds() / hold.Seconds()
	for len(l.held) > 0 && (l.due >= 1 || len(l.held) > maxHeld || now.Sub(l.held[0].arrived) >= maxHold) {
		w := l.held[0]
		l.held = l.held[1:]
		l.due--
		w.turn <- false
		w.caller.held--
		l.forget(w.caller)
	}
	l.due = max(l.due, 0)
}

// leave takes a caller without waiting requests out of the order.
func (l *line) leave(i int) {
	c := l.order[i]
	l.order = slices.Delete(l.order, i, i+1)
	if l.next > i {
		l.next--
	}
	l.forget(c)
}

// forget removes a caller without requests.
func (l *line) forget(c *caller) {
	if len(c.waiting)+c.held == 0 {
		delete(l.callers, c.name)
	}
}
