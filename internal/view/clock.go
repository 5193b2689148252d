package view

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// instant is a point in time: how long the machine had been running, sleep included. Setting the clock on the wall does
// not change it. The zero instant is before all others.
type instant time.Duration

// since returns how long ago an earlier instant was.
func (i instant) since(earlier instant) time.Duration { return time.Duration(i - earlier) }

// Uptime returns how long the machine has been running, sleep included: a clock for what must not last longer because the
// machine slept.
func Uptime() time.Duration { return time.Duration(now()) }

// now returns the present instant. Without a clock everything would be older than any bound.
func now() instant {
	var t unix.Timespec
	if unix.ClockGettime(sinceBoot, &t) != nil {
		return math.MaxInt64
	}
	return instant(t.Nano())
}
