package view

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
)

// Pauses between attempts to follow the store, the first and the longest.
const firstPause, longestPause = 50 * time.Millisecond, 2 * time.Second

// follow lists the objects and then watches them, until the context ends. Whatever goes wrong is tried again: a watch
// that ended goes on where it was, unless etcd has forgotten what came since, or the same version failed twice.
func (v *View[T]) follow(ctx context.Context, s *Set) {
	logger := klog.FromContext(ctx).WithName("view").WithValues("resource", v.resource.String())
	pause, failedAt, listed := firstPause, uint64(0), false
	for ctx.Err() == nil {
		generation := v.generation()
		if !listed {
			if err := v.list(ctx, s, generation); err != nil {
				logger.V(2).Info("Listing failed; trying again", "err", err)
				pause = sleep(ctx, pause)
				continue
			}
			listed, pause = true, firstPause
		}
		from := v.reachedVersion()
		err := v.watch(ctx, s, generation, from+1)
		switch at := v.reachedVersion(); {
		case v.generation() != generation || errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, rpctypes.ErrFutureRev):
			listed = false
		case at == from && failedAt == from:
			listed = false // reads are enough to stay current, if need be
		case at == from:
			failedAt = from
		}
		logger.V(2).Info("Watching ended; beginning anew", "err", err, "list", !listed)
		pause = sleep(ctx, pause)
	}
}

// sleep waits, and returns how long to wait the next time.
func sleep(ctx context.Context, pause time.Duration) time.Duration {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return min(2*pause, longestPause)
}

// errForgotten has the objects listed again.
var errForgotten = errors.New("the store was replaced while the objects were listed")

// watch takes in changes from a version on. It returns when the watch ends, for whatever reason.
func (v *View[T]) watch(ctx context.Context, s *Set, generation int, version uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, restart := s.stream(ctx, v.resource)
	if v.generation() != generation {
		return errForgotten // before the stream was there to be given up
	}
	changes := s.store.Watch(ctx, v.source.prefix, clientv3.WithPrefix(), clientv3.WithRev(int64(version)), clientv3.WithProgressNotify())
	for {
		select {
		case <-restart:
			return errRestarted
		case response, ok := <-changes:
			if !ok {
				return errors.New("the watch was closed")
			}
			if err := response.Err(); err != nil {
				return err
			}
			for _, event := range response.Events {
				v.take(ctx, generation, event)
			}
			switch n := len(response.Events); {
			case n > 0:
				// The version in the header may be ahead of events that are yet to come.
				v.reach(generation, uint64(response.Events[n-1].Kv.ModRevision))
			case response.IsProgressNotify():
				v.reach(generation, uint64(response.Header.Revision))
			}
		}
	}
}

// errRestarted says that the watch was given up because nothing came of it.
var errRestarted = errors.New("the watch brought nothing although the store has moved on")

// take takes in one change.
func (v *View[T]) take(ctx context.Context, generation int, event *clientv3.Event) {
	key, err := v.source.key(event.Kv.Key)
	if err != nil {
		return // nothing that the storage would find, either
	}
	version := uint64(event.Kv.ModRevision)
	if event.Type == mvccpb.DELETE {
		v.seen(generation, key, version, nil)
		return
	}
	obj, err := v.source.decode(ctx, key, event.Kv)
	if err != nil {
		v.spoil(generation, key, badObject{version: version, reason: err.Error()})
		return
	}
	v.seen(generation, key, version, obj)
}

// seen takes in that an object was stored or, where obj is nil, deleted.
func (v *View[T]) seen(generation int, key Key, version uint64, obj runtime.Object) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resets != generation {
		return
	}
	if obj != nil {
		v.note(key, version)
	}
	if bad, ok := v.bad[key]; ok && bad.version <= version {
		delete(v.bad, key)
	}
	if !v.ahead(key, version) {
		if obj == nil {
			v.drop(key, version)
		} else {
			v.put(key, entry[T]{v.record(obj), version, LinksOf(obj)}, obj)
		}
	}
	if v.gone[key] <= version {
		delete(v.gone, key)
	}
}
