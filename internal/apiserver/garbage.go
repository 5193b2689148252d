package apiserver

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A request leaves little garbage, but with a small heap Go's default pace has the collector take a sixth of the CPU time.
// These bounds allow a fixed amount of garbage, and Go's default where that is more. A larger amount was no faster, since
// fresh memory is slow, too.
const (
	garbage      = 96 << 20
	minGCPercent = 100
	maxGCPercent = 600
	// gcInterval is the time between two looks at the size of the heap.
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
		// Setting it stops the world for a moment, so small changes are ignored.
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

// gcPercent is the value of GOGC for a heap with that many live bytes.
func gcPercent(live uint64) int {
	return int(min(max(garbage*100/max(live, 1), minGCPercent), maxGCPercent))
}
