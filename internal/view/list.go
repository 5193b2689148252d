package view

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
)

// errAnother has the objects listed again, when the Set has taken in that the store is another one.
var errAnother = errors.New("the store is another one, or an older state of it was restored")

// errHandlerCame has the objects listed again.
var errHandlerCame = errors.New("a handler was added while the objects were listed, which it needs whole")

// list reads all objects as they are at one version. The read is linearizable: it proves the view current at its start.
func (v *View[T]) list(ctx context.Context, s *Set, generation int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	at, known, reached := s.now(), s.known(), v.reachedVersion()
	found := &list[T]{bad: map[Key]badObject{}, whole: v.handled()}
	all := &reader{store: s.store, prefix: v.source.prefix}
	for kvs, err := range all.read(ctx) {
		if err != nil {
			return err
		}
		if h := all.header; h != nil && (known.succeededBy(h) || uint64(h.Revision) < reached) {
			s.hurry()
			return errAnother // what is known must be forgotten before anything is proved by this list
		}
		v.decode(ctx, kvs, found)
	}
	if err := v.replace(generation, found, uint64(all.header.Revision)); err != nil {
		return err
	}
	v.prove(generation, at)
	return nil
}

// errCut has the objects listed again.
var errCut = errors.New("the store ended its answer early")

// leastToShare is how many objects are decoded by one goroutine at least.
const leastToShare = 64

// decode adds objects to a list. All processors take part: a start waits for it.
func (v *View[T]) decode(ctx context.Context, kvs []*mvccpb.KeyValue, to *list[T]) {
	each := max(leastToShare, (len(kvs)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var decoding sync.WaitGroup
	var mu sync.Mutex
	for from := 0; from < len(kvs); from += each {
		decoding.Go(func() {
			part, bad := v.decodePart(ctx, kvs[from:min(from+each, len(kvs))], to.whole)
			mu.Lock()
			defer mu.Unlock()
			to.parts = append(to.parts, part)
			for key, b := range bad {
				to.bad[key] = b
			}
		})
	}
	decoding.Wait()
}

func (v *View[T]) decodePart(ctx context.Context, kvs []*mvccpb.KeyValue, whole bool) (part []listed[T], bad map[Key]badObject) {
	part, bad = make([]listed[T], 0, len(kvs)), map[Key]badObject{}
	for _, kv := range kvs {
		key, err := v.source.key(kv.Key)
		if err != nil {
			continue // nothing that the storage would find, either
		}
		item := listed[T]{key: key, version: uint64(kv.ModRevision)}
		if record, ok := v.quick(ctx, key, kv); ok && !whole {
			item.record = record
			part = append(part, item)
			continue
		}
		obj, err := v.source.decode(ctx, key, kv)
		if err != nil {
			bad[key] = badObject{version: uint64(kv.ModRevision), reason: err.Error()}
			continue
		}
		item.record, item.links = v.record(obj), LinksOf(obj)
		if whole {
			item.whole = obj
		}
		part = append(part, item)
	}
	return part, bad
}

// quick returns the record of an object without the rest of it, if the view can read it so.
func (v *View[T]) quick(ctx context.Context, key Key, kv *mvccpb.KeyValue) (record T, ok bool) {
	p := v.objects.packed
	if p == nil || p.read == nil {
		return record, false
	}
	data, err := v.source.plain(ctx, kv)
	if err != nil {
		return record, false
	}
	return p.read(key, data)
}

// get reads from etcd within a time limit.
func get(ctx context.Context, store Store, key string, limit time.Duration, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return store.Get(ctx, key, options...)
}

// listed is what a list tells of an object.
type listed[T any] struct {
	key     Key
	version uint64
	record  T
	links   *Links
	// whole is the object itself, for handlers. It is nil if there was none when the list was read.
	whole apiruntime.Object
}

// list is all objects of a resource.
type list[T any] struct {
	// parts are as they were read, so that a million objects are not copied while the list grows.
	parts [][]listed[T]
	bad   map[Key]badObject
	// whole says that the objects are there themselves.
	whole bool
}

func (l *list[T]) len() (n int) {
	for _, part := range l.parts {
		n += len(part)
	}
	return n
}

func (l *list[T]) all() iter.Seq[*listed[T]] {
	return func(yield func(*listed[T]) bool) {
		for _, part := range l.parts {
			for i := range part {
				if !yield(&part[i]) {
					return
				}
			}
		}
	}
}

// handled reports whether there are handlers.
func (v *View[T]) handled() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.handlers) > 0
}

// replace takes in all objects as they were at a version.
func (v *View[T]) replace(generation int, list *list[T], version uint64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resets != generation {
		return errForgotten
	}
	if !list.whole && len(v.handlers) > 0 {
		return errHandlerCame
	}
	first := v.objects.len() == 0
	if first {
		v.objects.reserve(list.len())
	}
	for l := range list.all() {
		v.note(l.key, l.version)
		if !v.ahead(l.key, l.version) {
			v.put(l.key, entry[T]{l.record, l.version, l.links}, l.whole)
		}
	}
	if !first { // else nothing is there but what was put
		v.retain(list, version)
	}
	for key, at := range v.gone {
		if at <= version {
			delete(v.gone, key)
		}
	}
	for key := range v.bad {
		delete(v.bad, key)
	}
	for key, b := range list.bad {
		v.bad[key] = b
		v.report(key, b)
	}
	if v.observer != nil {
		v.observer(Change[T]{Version: version, Listed: true, Reached: v.reached})
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
func (v *View[T]) retain(list *list[T], version uint64) {
	if p := v.objects.packed; p != nil {
		p.retain(list, version)
		return
	}
	there := map[Key]struct{}{}
	for l := range list.all() {
		there[l.key] = struct{}{}
	}
	for key, e := range v.objects.all() {
		if _, ok := there[key]; !ok && e.version <= version {
			v.drop(key, version)
		}
	}
}
