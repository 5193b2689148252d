package projectedvolume

import (
	"math/rand/v2"
	"time"

	"k8s.io/utils/clock"
)

// instant is a point in time on two clocks: the wall clock, which may be set, and the time that the process has run, which stands
// still while the machine sleeps.
type instant struct {
	wall time.Time
	up   time.Duration
}

func (i instant) add(d time.Duration) instant { return instant{i.wall.Add(d), i.up + d} }

// until is the time from now to the instant, on the clock on which it is nearer. So a clock that is set back delays nothing, and
// after a sleep the wall clock counts. A clock that is set forward has tokens renewed early, once.
func (i instant) until(now instant) time.Duration {
	return min(i.wall.Sub(now.wall), i.up-now.up)
}

// never is an instant that does not come.
var never = instant{}

// isDue reports whether an instant has come.
func isDue(at, now instant) bool { return at != never && at.until(now) <= 0 }

// earlier returns the one of two instants that comes first.
func earlier(a, b, now instant) instant {
	if a == never || b != never && b.until(now) < a.until(now) {
		return b
	}
	return a
}

// stopwatch reads both clocks.
type stopwatch struct {
	clock clock.Clock
	start time.Time
}

func newStopwatch(c clock.Clock) stopwatch { return stopwatch{c, c.Now()} }

func (s stopwatch) now() instant {
	return instant{s.clock.Now().Round(0), s.clock.Since(s.start)}
}

const (
	// renewAfter is the longest that a token is used, however long it is good for.
	renewAfter = 24 * time.Hour
	// jitter is the longest that a renewal comes early, at random.
	jitter = 10 * time.Second
	// soonest is the shortest time between two renewals.
	soonest = time.Second
)

// life is the time that a token is good for, counted on this machine from when it was asked for. The clock of the server has no
// part in it.
type life struct {
	due, end instant
	// offset is how far the clock of this machine is ahead of the server's.
	offset time.Duration
}

// newLife counts the life of a token that was asked for at an instant. seconds and expires are of the server's answer.
func newLife(asked instant, seconds int64, expires time.Time) life {
	lasts := time.Duration(seconds) * time.Second
	offset := asked.wall.Add(lasts).Sub(expires)
	if seconds <= 0 {
		lasts, offset = expires.Sub(asked.wall), 0
	}
	use := min(lasts-lasts/5, renewAfter)
	use -= rand.N(min(jitter, max(lasts/50, 1))) //nolint:gosec // it spreads requests
	return life{due: asked.add(max(use, soonest)), end: asked.add(lasts), offset: offset}
}

const (
	// firstRetry and firstRetrySoon are how long after a failure it is tried again at first; soon where the server may not have
	// caught up yet.
	firstRetry, firstRetrySoon = time.Second, 200 * time.Millisecond
	// lastRetry is the longest time between two tries.
	lastRetry = time.Minute
	// triesLeft is how many tries at least fit into what is left of a token's life, unless they would be closer than closest.
	triesLeft = 5
	closest   = 5 * time.Second
)

// retryIn is how long to wait after so many failures, at least one, with so much left of the life of the old token, if there is one.
func retryIn(failures int, soon bool, left time.Duration) time.Duration {
	wait := firstRetry
	if soon {
		wait = firstRetrySoon
	}
	wait = min(wait<<min(failures-1, 10), lastRetry)
	if left > 0 {
		wait = min(wait, max(left/triesLeft, closest))
	}
	return wait/2 + rand.N(wait/2+1) //nolint:gosec // it spreads requests
}
