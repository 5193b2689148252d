package livecheck

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mintmark/mintmark/internal/cache"
	"github.com/mintmark/mintmark/internal/view"
)

const (
	// maxCalls is the most calls to one cluster at a time.
	maxCalls = 8
	// idle is how long a cluster that is not asked about anything is remembered.
	idle = time.Hour
)

// targets are the clusters that were asked, by their secrets.
type targets struct {
	busy   atomic.Int64 // reviews that wait for any of them
	lastID atomic.Uint64

	mu    sync.RWMutex
	all   map[view.Key]*target
	swept time.Time
}

// get returns the target of a secret.
func (t *targets) get(secret view.Key) *target {
	now := time.Now()
	t.mu.RLock()
	known := t.all[secret]
	t.mu.RUnlock()
	if known == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if known = t.all[secret]; known == nil {
			t.sweep(now)
			known = &target{id: t.lastID.Add(1), secret: secret, flights: map[cache.Key]*flight{}, places: make(chan struct{}, maxCalls)}
			t.all[secret] = known
		}
	}
	known.used.Store(now.UnixNano())
	return known
}

// sweep forgets clusters that were not asked for long. The caller holds the lock.
func (t *targets) sweep(now time.Time) {
	if now.Sub(t.swept) < time.Minute {
		return
	}
	t.swept = now
	maps.DeleteFunc(t.all, func(_ view.Key, one *target) bool {
		unused := now.UnixNano()-one.used.Load() > int64(idle)
		if unused {
			one.close()
		}
		return unused
	})
}

// drop forgets the target of a secret, which has changed: the next one has the new credential, and none of the answers.
func (t *targets) drop(secret view.Key) {
	t.mu.Lock()
	dropped := t.all[secret]
	delete(t.all, secret)
	t.mu.Unlock()
	if dropped != nil {
		dropped.close()
	}
}

// target is a cluster, as one content of the secret names it.
type target struct {
	id     uint64
	secret view.Key
	used   atomic.Int64
	places chan struct{} // of calls

	opening sync.Mutex
	opened  *opened // nil until the secret was read

	mu      sync.Mutex
	flights map[cache.Key]*flight
	busy    int64 // reviews that wait for this one, and calls
	health  health
}

// close ends the connections that are kept.
func (t *target) close() {
	// A lock that is held means that there are none yet, or that the clients' own time ends them.
	if !t.opening.TryLock() {
		return
	}
	defer t.opening.Unlock()
	if t.opened != nil {
		t.opened.client.CloseIdleConnections()
	}
}
