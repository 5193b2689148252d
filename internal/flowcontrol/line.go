package flowcontrol

import (
	"slices"
	"time"
)

// waiter is a request that waits.
type waiter struct {
	arrived time.Time
	cost    int
	// turn receives whether the request goes on.
	turn chan bool
	// gone says that its client has given up.
	gone bool
}

// line holds the requests that wait: those with a chance, by caller, and those that will be shed.
type line struct {
	callers map[string]*caller
	// order holds the callers with waiting requests. The one at next has the next turn.
	order []*caller
	next  int
	// late are the requests to be shed, in the order in which they came to it.
	late []*waiter
	// spare is what the last tick had left over, or has taken from the next ones.
	spare int
	// ticked is when the last tick was.
	ticked time.Time
	// lateSince is since when there have been requests that have waited too long, again and again, lateAt when there was one last, and
	// overloadedAt when that had lasted for long enough last.
	lateSince, lateAt, overloadedAt time.Time
}

// caller holds the requests of one caller, the newest last.
type caller struct {
	name    string
	waiting []*waiter
	// debt is in how many rounds the caller is passed over, since its last request was dear.
	debt int
}

func newLine() line { return line{callers: map[string]*caller{}} }

// takeSpare takes a turn that was left over, if there is one.
func (l *line) takeSpare(cost int) bool {
	if l.spare <= 0 || len(l.order) > 0 {
		return false
	}
	l.spare -= cost
	return true
}

// add puts a request behind the others of its caller.
func (l *line) add(name string, w *waiter) {
	c := l.callers[name]
	if c == nil {
		c = &caller{name: name}
		l.callers[name] = c
		l.order = append(l.order, c)
	}
	c.waiting = append(c.waiting, w)
}

// charge has a caller passed over in so many rounds, and takes as many turns of later ticks, but no more than there is room for: other
// callers wait for a tick or two, not for all of it.
func (l *line) charge(name string, cost, room int) {
	l.spare = min(l.spare, max(l.spare-cost, -room))
	if c := l.callers[name]; c != nil {
		c.debt += cost
	}
}

// busy reports whether a request waits.
func (l *line) busy() bool { return len(l.order)+len(l.late) > 0 }

// advance gives turns that cost as much as there is room for, and one at least: what is in the queue of the scheduler may be
// something other than requests. Where that lets ticks come late, one dear request goes on. It reports whether there was anything to
// do.
func (l *line) advance(now time.Time, room int) (busy bool) {
	busy = l.busy()
	if l.standing(now) {
		l.expire(now)
	}
	// A dear request takes the turns of later ticks as well.
	least := 1
	if now.Sub(l.ticked) >= maxWait {
		least = lateTurns
	}
	l.spare = min(l.spare, 0) + max(room, least)
	l.ticked = now
	for l.spare > 0 && len(l.order) > 0 {
		l.spare -= l.serve(now)
	}
	for len(l.late) > maxHeld || len(l.late) > 0 && now.Sub(l.late[0].arrived) >= maxHold {
		l.shed()
	}
	for ; l.spare > 0 && len(l.late) > 0; l.spare-- {
		l.shed()
	}
	return busy
}

// shed has the first of the late requests answered.
func (l *line) shed() {
	l.late[0].turn <- false
	l.late = l.late[1:]
}

// serve has the caller whose turn it is go on with a request, and returns its cost.
func (l *line) serve(now time.Time) (cost int) {
	l.next %= len(l.order)
	c := l.order[l.next]
	if c.debt > 0 {
		c.debt--
		l.next++
		return 0
	}
	w := c.take(now)
	l.next++
	if len(c.waiting) == 0 {
		l.remove(l.next - 1)
	}
	if w.gone {
		return 0
	}
	w.turn <- true
	c.debt = w.cost - 1
	return w.cost
}

// take returns the oldest request, or the newest if the oldest has waited for long: in their order, all would be answered late,
// and so many are shed in time.
func (c *caller) take(now time.Time) *waiter {
	oldest, last := c.waiting[0], len(c.waiting)-1
	if now.Sub(oldest.arrived) < maxWait/2 {
		c.waiting = c.waiting[1:]
		return oldest
	}
	newest := c.waiting[last]
	c.waiting = c.waiting[:last]
	return newest
}

// standing reports whether requests have waited too long for some time. Those that a collection of garbage or a pause of the machine
// has made wait are not shed: there is room for them right after it. An overload comes in waves, since clients send the next request
// when they are told that one was shed.
func (l *line) standing(now time.Time) bool {
	if !slices.ContainsFunc(l.order, func(c *caller) bool { return c.late(now) }) {
		if now.Sub(l.lateAt) > standingLate {
			l.lateSince = time.Time{} // here alone: ticks may be that far apart
		}
		return false
	}
	if l.lateSince.IsZero() {
		l.lateSince = now
	}
	l.lateAt = now
	if now.Sub(l.lateSince) < standingLate && now.Sub(l.overloadedAt) > 2*maxHold {
		return false
	}
	l.overloadedAt = now
	return true
}

// expire takes away the chance of the requests that have waited too long. A caller's last one keeps it for longer: it is the next to
// go on, unless something other than requests keeps the processors busy.
func (l *line) expire(now time.Time) {
	for i := 0; i < len(l.order); i++ {
		c := l.order[i]
		for c.late(now) {
			if !c.waiting[0].gone {
				l.late = append(l.late, c.waiting[0])
			}
			c.waiting = c.waiting[1:]
		}
		if len(c.waiting) == 0 {
			l.remove(i)
			i--
		}
	}
}

// late reports whether the oldest request of a caller has waited too long.
func (c *caller) late(now time.Time) bool {
	patience := maxWait
	if len(c.waiting) == 1 {
		patience = maxWaitAlone
	}
	return len(c.waiting) > 0 && now.Sub(c.waiting[0].arrived) >= patience
}

// remove removes a caller without requests.
func (l *line) remove(i int) {
	delete(l.callers, l.order[i].name)
	l.order = append(l.order[:i], l.order[i+1:]...)
	if l.next > i {
		l.next--
	}
}
