package apiserver

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What a request leaves behind is little and soon gone, but with a small heap the collector would run so often that it
// took a sixth of the time. So there may be more garbage than Go allows by default, up to a fixed amount: with a large
// heap it is what Go allows. Much more does not pay: fresh memory is slow, too.
const (
	garbage      = 96 << 20
	minGCPercent = 100
	maxGCPercent = 600
	// gcInterval is how often the size of the heap is looked at.
	gcInterval = 10 * time.Second
)

// tuneGarbage keeps the pace of the collector fit for the size of the heap, until the context ends. It should begin when
// the stored objects have been read: while the heap grows fast there should be no more garbage than need be.
func tuneGarbage(ctx context.Context) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	current := minGCPercent
	tick := time.NewTicker(gcInterval)
	defer tick.Stop()
	for {
		metrics.Read(live)
		// To set it stops the world for a moment, so that isn't done for little.
		if percent := gcPercent(live[0].Value.Uint64()); percent > current*11/10 || percent < current*9/10 {
			debug.SetGCPercent(percent)
			current = percent
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// gcPercent is GOGC for a heap of which so many bytes are in use.
func gcPercent(live uint64) int {
	return int(min(max(garbage*100/max(live, 1), minGCPercent), maxGCPercent))
}
