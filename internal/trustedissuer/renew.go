package trustedissuer

import (
	"context"
	"sync"
	"time"

	"github.com/mintmark/mintmark/internal/crash"
)

const (
	// renewEvery is the least time between two proofs that the view is current. Tokens of unknown issuers cause no more reads of
	// the store than that, however many there are: those that come meanwhile wait for the next proof together.
	renewEvery = 20 * time.Millisecond
	// renewWithin bounds a proof.
	renewWithin = 3 * time.Second
)

// renewals shares proofs that the view has everything that was acknowledged.
type renewals struct {
	renew func(context.Context) error

	mu      sync.Mutex
	next    *renewal // which has not begun
	running bool
}

// renewal is one proof, for all that came before it began.
type renewal struct {
	done chan struct{}
	err  error
}

// wait returns when the view has everything that was acknowledged before the call.
func (r *renewals) wait(ctx context.Context) error {
	if r.renew == nil {
		return nil
	}
	r.mu.Lock()
	if r.next == nil {
		r.next = &renewal{done: make(chan struct{})}
	}
	mine := r.next
	if !r.running {
		r.running = true
		go r.run() //nolint:gosec // G118: one proof is for all who wait, so no request ends it
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run makes proofs while anybody waits for one.
func (r *renewals) run() {
	for {
		r.mu.Lock()
		mine := r.next
		if r.next = nil; mine == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), renewWithin)
		registered().Renewals.Inc()
		mine.err = crash.Guard(func() error { return r.renew(ctx) })
		cancel()
		close(mine.done)
		time.Sleep(renewEvery)
	}
}
