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

// pageSize is how many objects are listed at once. For every page etcd counts all that is left, so that many small pages
// of many objects take most of the time of a start; and a page of whole objects is in memory at once.
const pageSize = 2000

// listTimeout bounds the reading of one page.
const listTimeout = 30 * time.Second

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

// errAnother has the objects listed again, when the Set has taken in that the store is another one.
var errAnother = errors.New("the store is another one, or an older state of it was restored")

// errForgotten has the objects listed again.
var errForgotten = errors.New("the store was replaced while the objects were listed")

// errHandlerCame has the objects listed again.
var errHandlerCame = errors.New("a handler was added while the objects were listed, which it needs whole")

// list reads all objects as they are at one version. The read is linearizable: it proves the view current at its start.
func (v *View[T]) list(ctx context.Context, s *Set, generation int) error {
	at, known, reached := s.now(), s.known(), v.reachedVersion()
	whole := v.handled()
	var items []listed[T]
	bad := map[Key]badObject{}
	options := []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(v.source.prefix)), clientv3.WithLimit(pageSize)}
	from, version := v.source.prefix, int64(0)
	for {
		page, err := get(ctx, s.store, from, listTimeout, options...)
		if err != nil {
			return err
		}
		if version == 0 {
			version = page.Header.Revision
			if known.succeededBy(page.Header) || uint64(version) < reached {
				s.hurry()
				return errAnother // what is known must be forgotten before anything is proved by this list
			}
			options = append(options, clientv3.WithRev(version))
		}
		for _, kv := range page.Kvs {
			key, err := v.source.key(kv.Key)
			if err != nil {
				continue // nothing that the storage would find, either
			}
			obj, err := v.source.decode(ctx, key, kv)
			if err != nil {
				bad[key] = badObject{version: uint64(kv.ModRevision), reason: err.Error()}
				continue
			}
			item := listed[T]{key: key, version: uint64(kv.ModRevision), record: v.record(obj), links: LinksOf(obj)}
			if whole {
				item.whole = obj
			}
			items = append(items, item)
		}
		if !page.More || len(page.Kvs) == 0 {
			break
		}
		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
	if err := v.replace(generation, items, bad, uint64(version)); err != nil {
		return err
	}
	v.prove(generation, at)
	return nil
}

// get reads from etcd within a time limit.
func get(ctx context.Context, store Store, key string, limit time.Duration, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return store.Get(ctx, key, options...)
}

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
			v.drop(key)
		} else {
			v.put(key, entry[T]{v.record(obj), version, LinksOf(obj)}, obj)
		}
	}
	if v.gone[key] <= version {
		delete(v.gone, key)
	}
}

// listed is what a list tells of an object.
type listed[T any] struct {
	key     Key
	version uint64
	record  T
	links   *Links
	// whole is the object itself, for handlers. It is nil if there was none when the list was read.
	whole runtime.Object
}

// handled reports whether there are handlers.
func (v *View[T]) handled() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.handlers) > 0
}

// replace takes in all objects as they were at a version.
func (v *View[T]) replace(generation int, list []listed[T], bad map[Key]badObject, version uint64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resets != generation {
		return errForgotten
	}
	for i := range list {
		if list[i].whole == nil && len(v.handlers) > 0 {
			return errHandlerCame
		}
	}
	for i := range list {
		v.note(list[i].key, list[i].version)
		if l := &list[i]; !v.ahead(l.key, l.version) {
			v.put(l.key, entry[T]{l.record, l.version, l.links}, l.whole)
		}
	}
	v.retain(list, bad, version)
	for key, at := range v.gone {
		if at <= version {
			delete(v.gone, key)
		}
	}
	for key := range v.bad {
		delete(v.bad, key)
	}
	for key, b := range bad {
		v.bad[key] = b
		v.report(key, b)
	}
	v.reached = max(v.reached, version)
	select {
	case <-v.synced:
	default:
		close(v.synced)
	}
	return nil
}

// retain drops the entries whose objects are not stored at a version, and that are not younger.
func (v *View[T]) retain(list []listed[T], bad map[Key]badObject, version uint64) {
	if p := v.objects.packed; p != nil {
		p.retain(list, bad, version)
		return
	}
	there := make(map[Key]struct{}, len(list))
	for i := range list {
		there[list[i].key] = struct{}{}
	}
	for key, e := range v.objects.all() {
		if _, ok := there[key]; !ok && e.version <= version {
			v.drop(key)
		}
	}
}
