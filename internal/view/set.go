package view

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Store is etcd as views read it. A *clientv3.Client is one. Reads are linearizable.
type Store interface {
	Get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error)
	Watch(ctx context.Context, key string, options ...clientv3.OpOption) clientv3.WatchChan
	// RequestProgress has etcd say, to the watches of a stream, up to which version they have brought everything.
	RequestProgress(ctx context.Context) error
}

// Follower is a view, whatever it keeps of objects.
type Follower interface {
	Resource() schema.GroupResource
	Synced() <-chan struct{}
	Unreadable() []Key

	follow(ctx context.Context, s *Set)
	aim(version uint64, at instant) (behind bool)
	provedAt() instant
	latest() anchor
	reachedVersion() uint64
	recheck(ctx context.Context, s *Set)
	reset()
	join(clock func() instant, reads *places, proofs func())
}

const (
	// probeInterval is how often a view is proved current while all is well.
	probeInterval = time.Second
	// restartAfter is how long a watch may bring nothing, while the store moves on, before it is begun anew.
	restartAfter = 3 * time.Second
	// recheckEvery is after how many probes unreadable objects are read again.
	recheckEvery = 10
	// streamKey is the metadata by which the client of etcd tells streams apart.
	streamKey = "mintmark-stream"
	// probeKey is a key that is never stored. Reading it tells the version of the whole store.
	probeKey = "mintmark-revision"
)

// Set follows one store with several views, and knows how old each of them is.
//
// Every second it reads the store's current version, which etcd confirms with a quorum, and has each view note when it
// has reached that version. The view is then proved current at the instant at which the read began: it lacks nothing
// that was acknowledged by then, whoever wrote it.
type Set struct {
	store  Store
	views  []Follower
	bound  time.Duration
	now    func() instant
	reads  *places
	epoch  atomic.Uint64 // counts how often everything was forgotten
	oldest atomic.Int64  // the instant at which all views were proved current; 0 if one has not been read

	mu         sync.Mutex
	identity   identity
	met        chan struct{} // closed when the identity is known
	behind     instant       // since when a view has been behind; 0 if none is
	generation int           // of the streams of the watches
	restart    chan struct{} // closed when these streams are given up
	failure    error         // of the last probe
	failedAt   instant
	proof      chan struct{} // closed at the next proof
	wake       chan struct{}
}

// NewSet returns a set that follows a store. Bound is how old a view may be for an answer to be taken from memory alone; 0
// means any age.
func NewSet(store Store, bound time.Duration, views ...Follower) *Set {
	s := &Set{
		store: store, views: views, bound: bound, now: now,
		met: make(chan struct{}), restart: make(chan struct{}), proof: make(chan struct{}), wake: make(chan struct{}, 1), reads: newPlaces(0),
	}
	for _, v := range views {
		v.join(func() instant { return s.now() }, s.reads, s.refresh)
	}
	return s
}

// Run follows the store until the context ends.
func (s *Set) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, v := range s.views {
		running.Go(func() {
			// What is read must be of a store that can be told from another one.
			select {
			case <-s.met:
				v.follow(ctx, s)
			case <-ctx.Done():
			}
		})
	}
	running.Go(func() { s.keepProving(ctx) })
	running.Wait()
}

// Stamp is an instant at which all views were proved current. Taken before a decision, it tells afterwards how old the
// truth behind the decision is.
type Stamp struct {
	at    instant
	epoch uint64
}

// Stamp returns the latest instant at which all views were proved current. The epoch is read first: a stamp that is taken
// while everything is forgotten has the old one or no instant.
func (s *Set) Stamp() Stamp { return Stamp{epoch: s.epoch.Load(), at: instant(s.oldest.Load())} }

// Current reports whether a decision that was begun at the stamp is still within the bound.
func (s *Set) Current(stamp Stamp) bool { return s.within(stamp, s.bound) }

func (s *Set) within(stamp Stamp, bound time.Duration) bool {
	return stamp.at != 0 && stamp.epoch == s.epoch.Load() && (bound == 0 || s.now().since(stamp.at) <= bound)
}

// Age returns how long ago a stamp was. It reports false for a stamp of no instant, or of a store that is not there any more.
func (s *Set) Age(stamp Stamp) (time.Duration, bool) {
	if !s.within(stamp, 0) {
		return 0, false
	}
	return s.now().since(stamp.at), true
}

// NextProof returns a channel that is closed when all views were proved current anew.
func (s *Set) NextProof() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proof
}

// Ensure returns when the views are within the bound, at once if they are. Otherwise it has them proved by the store. The
// error says why this could not be done within the time of a read.
func (s *Set) Ensure(ctx context.Context) error { return s.EnsureWithin(ctx, s.bound) }

// EnsureWithin is Ensure with another bound.
func (s *Set) EnsureWithin(ctx context.Context, bound time.Duration) error {
	if s.within(s.Stamp(), bound) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for {
		s.mu.Lock()
		proof, failure, failedAt := s.proof, s.failure, s.failedAt
		s.mu.Unlock()
		if s.within(s.Stamp(), bound) {
			return nil
		}
		// The store was asked a moment ago: asking for each request would have all of them wait.
		if failure != nil && s.now().since(failedAt) < probeInterval {
			return fmt.Errorf("the store does not answer: %w", failure)
		}
		s.hurry()
		select {
		case <-proof:
		case <-ctx.Done():
			return s.staleness()
		}
	}
}

// staleness says which view is the oldest, and how old it is.
func (s *Set) staleness() error {
	oldest := slices.MinFunc(s.views, func(a, b Follower) int { return cmp.Compare(a.provedAt(), b.provedAt()) })
	at := oldest.provedAt()
	if at == 0 {
		return fmt.Errorf("%s not read yet", oldest.Resource())
	}
	return fmt.Errorf("what is known of %s is %s old", oldest.Resource(), s.now().since(at).Round(time.Millisecond))
}

// Ready returns an error from half the bound on, or while a view has not been read: in time for a balancer to send requests
// elsewhere.
func (s *Set) Ready() error {
	stamp := s.Stamp()
	if stamp.at == 0 || s.bound > 0 && s.now().since(stamp.at) > s.bound/2 {
		return s.staleness()
	}
	return nil
}

// Unreadable returns how many stored objects of each resource can't be read and are left out, for the resources that have any.
func (s *Set) Unreadable() map[string]int {
	found := map[string]int{}
	for _, v := range s.views {
		if n := len(v.Unreadable()); n > 0 {
			found[v.Resource().String()] = n
		}
	}
	return found
}
