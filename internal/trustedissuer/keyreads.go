package trustedissuer

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/foreigntoken"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
)

const (
	// firstRead is within which time the keys of a new object are read, and refreshEvery the longest time between two reads.
	firstRead, refreshEvery = 2 * time.Second, 10 * time.Minute
	// firstRetry is about the time after a failed read to the next, which doubles up to refreshEvery.
	firstRetry = 10 * time.Second
	// keptFor is how long keys count after they were last read, while the issuer does not answer.
	keptFor = 24 * time.Hour
	// needsEvery and needsBurst pace the reads that tokens with unknown keys cause, for each issuer.
	needsEvery, needsBurst = 10 * time.Second, 3
	// patience is how long a review waits for keys. A slower read goes on, for later reviews.
	patience = 2 * time.Second
)

// keys holds the keys of one issuer, and reads them.
type keys struct {
	reads  *reads
	client func(*v1alpha1.TrustedIssuer) (Client, error)
	object *v1alpha1.TrustedIssuer // for where the keys are; nothing else of it counts
	inline bool
	known  atomic.Pointer[keySet]

	mu       sync.Mutex
	needs    *rate.Limiter
	reading  *reading // nil if the keys are not being read
	failed   int      // reads in a row
	failure  error    // of the last read
	tried    time.Time
	next     time.Time
	timer    *time.Timer
	ended    bool
	location string // of the key set, as the discovery document had it
}

// reading is one read of keys.
type reading struct {
	begun   time.Time
	done    chan struct{}
	waiting atomic.Int32 // reviews
}

func newKeys(reads *reads, client func(*v1alpha1.TrustedIssuer) (Client, error), object *v1alpha1.TrustedIssuer) *keys {
	k := &keys{reads: reads, client: client, object: object, needs: rate.NewLimiter(rate.Every(needsEvery), needsBurst)}
	k.known.Store(&keySet{})
	if object.Spec.JWKS != "" {
		k.inline = true
		k.take(foreigntoken.Keys([]byte(object.Spec.JWKS), maxKeys))
	}
	return k
}

// Errors of keys that are needed.
var (
	errKeysUnread = errors.New("the keys of the issuer can't be read; the status of its TrustedIssuer says why")
	errCrowded    = errors.New("too many reviews wait for keys of issuers")
	errSlow       = errors.New("the keys of the issuer are still being read; please try again")
)

// need returns a newer key set than the one that was seen, which lacks a key. It has the keys read, unless they are being read,
// were read since, or were read too often. The error says that they could not be read.
func (k *keys) need(ctx context.Context, seen *keySet) (*keySet, error) {
	k.mu.Lock()
	if known := k.known.Load(); known != seen || k.inline || k.ended {
		k.mu.Unlock()
		return known, nil
	}
	mine := k.reading
	if mine == nil {
		if !k.needs.Allow() {
			failure := k.failure
			k.mu.Unlock()
			return seen, unread(failure)
		}
		if mine = k.begin(false); mine == nil {
			k.mu.Unlock()
			return seen, unavailable{errCrowded}
		}
	}
	k.mu.Unlock()
	if err := k.reads.waitFor(ctx, mine); err != nil {
		return seen, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known.Load(), unread(k.failure)
}

func unread(failure error) error {
	if failure == nil {
		return nil
	}
	return reason.With(reason.IssuerUnavailable, errKeysUnread)
}

// begin begins a read, or returns nil if too many are under way. The lock is held.
func (k *keys) begin(scheduled bool) *reading {
	if !k.reads.begin(scheduled) {
		return nil
	}
	mine := &reading{begun: time.Now(), done: make(chan struct{})}
	k.reading = mine
	go func() {
		defer k.reads.finish(scheduled)
		var found []jose.JSONWebKey
		err := crash.Guard(func() (err error) {
			found, err = k.read(k.reads.lifetime)
			return err
		})
		k.take(found, err)
		close(mine.done)
	}()
	return mine
}

// take takes in the result of a read. Keys that are there as before stay, and the others are withdrawn.
func (k *keys) take(found []jose.JSONWebKey, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, before := time.Now(), k.known.Load()
	k.reading, k.tried, k.failure = nil, now, err
	if err != nil {
		k.failed++
		k.reads.own.Reads.WithLabelValues("failure").Inc()
		if len(before.keys) > 0 && now.Sub(before.read) >= keptFor {
			k.known.Store(&keySet{read: before.read})
			withdraw(before.keys, nil)
		}
		k.plan(spread(min(firstRetry<<min(k.failed-1, 6), refreshEvery)))
		return
	}
	k.failed = 0
	after := &keySet{read: now}
	for _, one := range found {
		after.keys = append(after.keys, before.same(one))
	}
	k.known.Store(after)
	withdraw(before.keys, after.keys)
	if !k.inline {
		k.reads.own.Reads.WithLabelValues("success").Inc()
		k.plan(spread(refreshEvery))
	}
}

// withdraw withdraws the keys that are not among those that stay.
func withdraw(keys, stay []*key) {
	for _, k := range keys {
		if !slices.Contains(stay, k) {
			k.withdrawn.Store(true)
		}
	}
}

// schedule plans the next read.
func (k *keys) schedule(in time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.plan(in)
}

// plan is schedule with the lock held.
func (k *keys) plan(in time.Duration) {
	if k.ended || k.inline {
		return
	}
	k.next = time.Now().Add(in)
	if k.timer == nil {
		k.timer = time.AfterFunc(in, k.due)
		return
	}
	k.timer.Reset(in)
}

// due reads the keys on schedule, if there is a place.
func (k *keys) due() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended || k.reading != nil {
		return // a read under way plans the next one
	}
	if k.begin(true) == nil {
		k.plan(spread(firstRead))
	}
}

// end ends the reading of keys, and withdraws them.
func (k *keys) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	if k.timer != nil {
		k.timer.Stop()
	}
	withdraw(k.known.Load().keys, nil)
}

// spread returns a time between the half of what is given and the whole of it, so that issuers are not read all at once.
func spread(most time.Duration) time.Duration { return most/2 + rand.N(most/2+1) } //nolint:gosec // G404: when keys are read is no secret

// read reads the keys of the issuer.
func (k *keys) read(ctx context.Context) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, outbound.Timeout)
	defer cancel()
	client, err := k.client(k.object)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	return k.readWith(ctx, client)
}
