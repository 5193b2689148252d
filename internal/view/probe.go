package view

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
)

// identity is what tells one store, and its history, from another.
type identity struct {
	cluster, term uint64
	version       uint64
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
		s.epoch.Add(1) // before anything is forgotten: a decision that is under way must not take that for the truth
		for _, v := range s.views {
			v.reset()
		}
		s.epoch.Add(1) // nor one that was begun in between
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

// another reports whether a store is not the one that was there before.
func (s *Set) another(header *etcdserverpb.ResponseHeader) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.identity
	s.identity = identity{header.ClusterId, header.RaftTerm, uint64(header.Revision)}
	if before == (identity{}) {
		close(s.met)
	}
	return before.succeededBy(header)
}

// known returns the identity of the store, as far as it is known.
func (s *Set) known() identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity
}

// succeededBy reports whether a later answer comes from another store: from another cluster, or from one whose history goes
// back.
func (i identity) succeededBy(header *etcdserverpb.ResponseHeader) bool {
	return i != (identity{}) && (header.ClusterId != i.cluster || header.RaftTerm < i.term || uint64(header.Revision) < i.version)
}

// hurry has the store probed at once.
func (s *Set) hurry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
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
