package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
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
	join(reads chan struct{}, proofs func())
}

const (
	// probeInterval is how often a view is proved current while all is well.
	probeInterval = time.Second
	// maxReads is how many objects are read from the store at a time. It is a part of the requests that are answered at a
	// time, so that a store that hangs leaves places to those that are answered from memory.
	maxReads = 64
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
	oldest atomic.Int64 // the instant at which all views were proved current; 0 if one has not been read

	mu         sync.Mutex
	identity   identity
	met        chan struct{} // closed when the identity is known
	behind     instant       // since when a view has been behind; 0 if none is
	generation int           // of the stream that watches share
	restart    chan struct{} // closed when the stream is given up
	failure    error         // of the last probe
	failedAt   instant
	proof      chan struct{} // closed at the next proof
	wake       chan struct{}
}

// identity is what tells one store, and its history, from another.
type identity struct {
	cluster, term uint64
	version       uint64
}

// NewSet returns a set that follows a store. Bound is how old a view may be for an answer to be taken from memory alone; 0
// means any age.
func NewSet(store Store, bound time.Duration, views ...Follower) *Set {
	s := &Set{
		store: store, views: views, bound: bound, now: now,
		met: make(chan struct{}), restart: make(chan struct{}), proof: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	reads := make(chan struct{}, maxReads)
	for _, v := range views {
		v.join(reads, s.refresh)
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

// stream returns the context for the watch of a resource, and a channel that is closed when the watch is to be given up.
//
// Each watch has a stream to etcd of its own. On a shared one etcd tells no progress to anybody while one watch has
// nothing to be told: after a restart of etcd that is each one that is up to date.
func (s *Set) stream(ctx context.Context, resource schema.GroupResource) (context.Context, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := resource.String() + "/" + strconv.Itoa(s.generation)
	return metadata.AppendToOutgoingContext(clientv3.WithRequireLeader(ctx), streamKey, name), s.restart
}

func (s *Set) keepProving(ctx context.Context) {
	timer, probes := time.NewTimer(0), 0
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		s.probe(ctx)
		s.measure()
		if probes++; probes%recheckEvery == 0 {
			for _, v := range s.views {
				v.recheck(ctx, s)
			}
		}
		timer.Reset(probeInterval)
	}
}

// probe reads the version of the store and has the views prove that they have reached it.
func (s *Set) probe(ctx context.Context) {
	at, reached := s.now(), uint64(0)
	for _, v := range s.views {
		reached = max(reached, v.reachedVersion())
	}
	header, diverged, err := s.ask(ctx)
	s.note(err)
	if err != nil {
		return
	}
	if s.another(header) || diverged || uint64(header.Revision) < reached {
		klog.Background().Error(nil, "The store is another one, or an older state of it was restored; reading everything anew",
			"version", header.Revision)
		for _, v := range s.views {
			v.reset()
		}
		s.giveUpStream()
		return
	}
	var behind []Follower
	for _, v := range s.views {
		if v.aim(uint64(header.Revision), at) {
			behind = append(behind, v)
		}
	}
	s.refresh()
	if len(behind) == 0 {
		s.mu.Lock()
		s.behind = 0
		s.mu.Unlock()
		return
	}
	if s.stuck(at) {
		s.giveUpStream()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeInterval)
	defer cancel()
	for _, v := range behind {
		watchContext, _ := s.stream(ctx, v.Resource())
		_ = s.store.RequestProgress(watchContext) // without an answer the view stays as old as it is
	}
}

// ask reads the version of the store, by way of the latest object that is known of it: diverged reports that the store
// has never had that object in that version, so that its history is another one.
func (s *Set) ask(ctx context.Context) (header *etcdserverpb.ResponseHeader, diverged bool, err error) {
	var latest anchor
	for _, v := range s.views {
		if a := v.latest(); a.version > latest.version {
			latest = a
		}
	}
	if latest == (anchor{}) {
		response, err := get(ctx, s.store, probeKey, readTimeout)
		if err != nil {
			return nil, false, err
		}
		return response.Header, false, nil
	}
	response, err := get(ctx, s.store, latest.key, readTimeout, clientv3.WithRev(int64(latest.version)))
	then := err == nil
	if errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, rpctypes.ErrFutureRev) {
		diverged = errors.Is(err, rpctypes.ErrFutureRev)
		response, err = get(ctx, s.store, latest.key, readTimeout)
	}
	if err != nil {
		return nil, false, err
	}
	switch {
	case then:
		diverged = len(response.Kvs) == 0 || uint64(response.Kvs[0].ModRevision) != latest.version
	case len(response.Kvs) > 0:
		// That version is no longer kept: the object can only have been changed since.
		diverged = diverged || uint64(response.Kvs[0].ModRevision) < latest.version
	}
	return response.Header, diverged, nil
}

// anchor is an object in one of its versions.
type anchor struct {
	key     string
	version uint64
}

// note keeps how the last probe ended, and tells who waits for it of a failure.
func (s *Set) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	if err != nil {
		s.failedAt = s.now()
		close(s.proof)
		s.proof = make(chan struct{})
	}
}

// another reports whether a store is not the one that was there before: another cluster, or one whose history goes back.
func (s *Set) another(header *etcdserverpb.ResponseHeader) bool {
	found := identity{header.ClusterId, header.RaftTerm, uint64(header.Revision)}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.identity
	s.identity = found
	if before == (identity{}) {
		close(s.met)
	}
	return before != (identity{}) && (found.cluster != before.cluster || found.term < before.term || found.version < before.version)
}

// stuck reports whether views have been behind for so long that the watches must be broken.
func (s *Set) stuck(now instant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind == 0 {
		s.behind = now
	}
	return now.since(s.behind) > restartAfter
}

// giveUpStream has all watches begin anew on another stream.
func (s *Set) giveUpStream() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = 0
	s.generation++
	close(s.restart)
	s.restart = make(chan struct{})
}

// refresh takes in that a view was proved current.
func (s *Set) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := instant(math.MaxInt64)
	for _, v := range s.views {
		oldest = min(oldest, v.provedAt())
	}
	if before := instant(s.oldest.Swap(int64(oldest))); oldest <= before {
		return
	}
	s.behind = 0
	close(s.proof)
	s.proof = make(chan struct{})
}

// Stamp is an instant at which all views were proved current. Taken before a decision, it tells afterwards how old the
// truth behind the decision is.
type Stamp struct{ at instant }

// Stamp returns the latest instant at which all views were proved current.
func (s *Set) Stamp() Stamp { return Stamp{instant(s.oldest.Load())} }

// Current reports whether a decision that was begun at the stamp is still within the bound.
func (s *Set) Current(stamp Stamp) bool {
	return stamp.at != 0 && (s.bound == 0 || s.now().since(stamp.at) <= s.bound)
}

// Ensure returns when the views are within the bound, at once if they are. Otherwise it has them proved by the store. The
// error says why this could not be done within the time of a read.
func (s *Set) Ensure(ctx context.Context) error {
	if s.Current(s.Stamp()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for {
		s.mu.Lock()
		proof, failure, failedAt := s.proof, s.failure, s.failedAt
		s.mu.Unlock()
		if s.Current(s.Stamp()) {
			return nil
		}
		// The store was asked a moment ago: asking for each request would have all of them wait.
		if failure != nil && s.now().since(failedAt) < probeInterval {
			return fmt.Errorf("the store does not answer: %w", failure)
		}
		select {
		case s.wake <- struct{}{}:
		default:
		}
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
