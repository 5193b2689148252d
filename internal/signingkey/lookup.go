package signingkey

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

const (
	// lookupTimeout bounds how long a token with an unknown key id waits for the store.
	lookupTimeout = 3 * time.Second
	// lookupsPerSecond and lookupBurst pace the reads of the store that tokens with unknown key ids cause. A read is for all
	// tokens that have come before it.
	lookupsPerSecond, lookupBurst = 20, 50
	// maxLookups is how many tokens wait for a read at a time: anybody can send one.
	maxLookups = 512
	// foundFor is how long a key that was read counts although Set has not told of it.
	foundFor = time.Minute
)

// foundKey is the object of a key that was read from the store.
type foundKey struct {
	key   *v1alpha1.SigningKey
	until time.Time
}

// lookups are reads of all keys that many share.
type lookups struct {
	pace    *rate.Limiter
	waiting atomic.Int64

	mu   sync.Mutex
	next *lookup // has not begun; nil if there is none
}

// lookup is one read. err may be read when done is closed.
type lookup struct {
	done chan struct{}
	err  error
}

// Find reads the keys from the store. The read has begun after Find was called.
func (m *Managed) Find(ctx context.Context, _ string) error {
	if m.lookups.waiting.Add(1) > maxLookups {
		m.lookups.waiting.Add(-1)
		return unavailable("too many tokens with unknown keys wait for the store, please try again later", nil)
	}
	defer m.lookups.waiting.Add(-1)
	m.lookups.mu.Lock()
	one := m.lookups.next
	if one == nil {
		one = &lookup{done: make(chan struct{})}
		m.lookups.next = one
		go m.look(one) //nolint:gosec // others wait for it, too
	}
	m.lookups.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	select {
	case <-one.done:
	case <-ctx.Done():
		return errLookup(ctx.Err())
	}
	if one.err != nil {
		return errLookup(one.err)
	}
	return nil
}

func errLookup(cause error) error {
	return unavailable("the stored signing keys could not be read, so it can't be told whether there is a key of this id; please try again later", cause)
}

// look makes one read when the pace allows it.
func (m *Managed) look(one *lookup) {
	defer close(one.done)
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	err := m.lookups.pace.Wait(ctx)
	m.lookups.mu.Lock()
	m.lookups.next = nil
	m.lookups.mu.Unlock()
	if err == nil {
		err = m.Refresh(ctx)
	}
	one.err = err
}

// Refresh reads the keys from the store.
func (m *Managed) Refresh(ctx context.Context) error {
	keys, err := m.Store.List(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	until := m.Now().Add(foundFor)
	for _, key := range keys {
		known, ok := m.objects[key.Name]
		if ok && version(known) >= version(key) {
			continue
		}
		m.found[key.Name] = foundKey{key, until}
		m.follow(key.Name, key)
		m.changed()
	}
	return nil
}

func unavailable(reason string, cause error) *Unavailable {
	return &Unavailable{Reason: reason, Cause: cause}
}
