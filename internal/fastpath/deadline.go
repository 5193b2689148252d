package fastpath

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mintmark/mintmark/internal/view"
)

// maxTimeout is how long the generic chain lets the creation of anything take at most.
const maxTimeout = 34 * time.Second

// timeout returns how long a request with this query may take. It reports false for a query that says anything else.
func timeout(query string, limit time.Duration) (time.Duration, bool) {
	limit = min(limit, maxTimeout)
	if query == "" {
		return limit, true
	}
	value, ok := strings.CutPrefix(query, "timeout=")
	if !ok || strings.ContainsAny(value, "&;%+") {
		return 0, false
	}
	asked, err := time.ParseDuration(value)
	if err != nil || asked <= 0 {
		return 0, false
	}
	return min(asked, limit), true
}

// deadline is a context that ends at a time. Hardly any request waits for its context, and a timer costs more than a
// decision, so the timer is made by the first call of Done.
type deadline struct {
	context.Context
	at time.Time

	mu     sync.Mutex
	timed  context.Context
	cancel context.CancelFunc
	ended  bool
	// reading says that an object was read from the store for the request. The reads end so long before at.
	reading   bool
	readsLeft time.Duration

	// warned is here since it lives as long as the context, and takes no allocation of its own.
	warned warnings
}

// Deadline is when the context ends.
func (d *deadline) Deadline() (time.Time, bool) {
	if at, ok := d.Context.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

// Done is closed when the context ends.
func (d *deadline) Done() <-chan struct{} { return d.running().Done() }

// Err says whether the context has ended.
func (d *deadline) Err() error {
	d.mu.Lock()
	timed := d.timed
	d.mu.Unlock()
	if timed != nil {
		return timed.Err()
	}
	if err := d.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(d.at) {
		return context.DeadlineExceeded
	}
	return nil
}

func (d *deadline) running() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil {
		d.timed, d.cancel = context.WithDeadline(d.Context, d.at)
		if d.ended {
			d.cancel()
		}
	}
	return d.timed
}

// Value is that of the context around, but for the time at which reads from the store end: it counts from the first read. A
// request that is handed over has no more of it, so that a store that hangs is waited for once.
func (d *deadline) Value(key any) any {
	if _, ok := key.(view.ReadsEndKey); !ok {
		return d.Context.Value(key)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.reading {
		d.reading, d.readsLeft = true, d.at.Sub(view.ReadsEnd(time.Now()))
	}
	return d.at.Add(-d.readsLeft)
}

// end ends the context: the request has been answered.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	if d.cancel != nil {
		d.cancel()
	}
}

// past is a time that has passed for every connection.
var past = time.Unix(1, 0)

// buffered is how much of an answer can be written without waiting for the client.
const buffered = 2 << 10

// whenLate has a function called when the request has taken as long as it may, unless the result is called before. The
// client's end of a connection doesn't ask whether a context has ended.
func (c *call) whenLate(do func()) (stop func() bool) {
	return time.AfterFunc(time.Until(c.arrival.deadline.at), do).Stop
}
