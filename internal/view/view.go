// Package view keeps in memory what a decision needs to know of the objects of a resource.
//
// A view is current in two ways. A watch carries every change to it, whoever made it. And what this process writes is
// in the view before the write is acknowledged: the view sits in front of the storage. So whoever asks after an
// acknowledged delete is never told of an object that is gone.
package view

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
)

// Key names an object among those of its resource. Namespace is empty for cluster-scoped ones.
type Key struct{ Namespace, Name string }

// Handler is told of a change while the view is locked, changes of one object in their order. It must return quickly
// and must not ask the view. obj is nil when the object is gone; it must not be changed or kept otherwise.
type Handler func(key Key, obj runtime.Object)

// View is the view of one resource: a record T of every object.
//
// All methods are safe for concurrent use, once Decorate has given it its storage.
type View[T any] struct {
	resource      schema.GroupResource
	record        func(runtime.Object) T
	clusterScoped bool
	storage       storage.Interface
	storagePrefix string
	source        encoding
	pace          *rate.Limiter // of reads by Find
	reads         *places       // for reads, which other views may share
	now           func() instant
	proofs        func()       // called when the view was proved current
	proved        atomic.Int64 // an instant at which the view was current; 0 if it has not been read

	mu        sync.RWMutex
	synced    chan struct{}
	objects   table[T]
	gone      map[Key]uint64  // deleted by this process at that version, which the watch has not reached yet
	missed    map[Key]instant // not in the storage when it was read; what memory has of them is older than that
	bad       map[Key]badObject
	reached   uint64 // the version up to which list and watch have told everything
	newest    uint64 // the version of the latest object that was stored, whose key is
	newestKey Key
	targets   []target
	resets    int // how often everything was forgotten
	handlers  []Handler
	observer  func(Change[T])
}

type entry[T any] struct {
	record  T
	version uint64
	links   *Links // nil for most objects
}

// New returns the view of a resource that keeps record(obj) of each object. Objects of a cluster-scoped resource have
// no namespace.
func New[T any](resource schema.GroupResource, clusterScoped bool, record func(runtime.Object) T) *View[T] {
	return &View[T]{
		resource:      resource,
		record:        record,
		clusterScoped: clusterScoped,
		pace:          newPace(),
		reads:         newPlaces(0),
		now:           now,
		proofs:        func() {},
		synced:        make(chan struct{}),
		objects:       table[T]{entries: map[Key]entry[T]{}},
		gone:          map[Key]uint64{},
		missed:        map[Key]instant{},
		bad:           map[Key]badObject{},
	}
}

// Resource is the resource that is viewed.
func (v *View[T]) Resource() schema.GroupResource { return v.resource }

// OnChange adds a handler. It is told of what happens from then on; what is there already is in Keys.
func (v *View[T]) OnChange(h Handler) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.handlers = append(v.handlers, h)
}

// Change is a change of an object, or of everything that is known of a resource.
type Change[T any] struct {
	Key Key
	// Version is that of the store at which the change was there.
	Version uint64
	// Before and After are the records of the object, nil if it was not or is not there.
	Before, After *T
	// Object is the object as it is now, nil if it is gone or comes from a list of a packed view. It must not be changed or
	// kept.
	Object runtime.Object
	// Listed says that everything has been read at Version. Objects may have come and gone since the version that was reached
	// before, which is not 0 unless this is the first time.
	Listed  bool
	Reached uint64
	// Forgotten says that everything was forgotten, since the store is another one.
	Forgotten bool
}

// Observe has one function be told of all changes, those of one object in their order, the first list among them. It is
// called while the view is locked: it must return quickly and must not ask the view. It is to be set before the view is run.
func (v *View[T]) Observe(observer func(Change[T])) { v.observer = observer }

// Reached is the version up to which the view has taken in everything.
func (v *View[T]) Reached() uint64 { return v.reachedVersion() }

// Synced is closed when the view has seen all that was stored when it began.
func (v *View[T]) Synced() <-chan struct{} {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.synced
}

// Get returns the record of an object, from memory alone. There is none of an object that a read did not find, until the view
// is as young as that read.
func (v *View[T]) Get(namespace, name string) (T, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	key := Key{namespace, name}
	if _, missed := v.missed[key]; missed {
		var none T
		return none, false
	}
	e, ok := v.objects.get(key)
	return e.record, ok
}

// Lookup returns the record of an object. One that is not in memory is looked for in the storage, since another
// replica may have created it a moment ago.
func (v *View[T]) Lookup(ctx context.Context, namespace, name string) (T, error) {
	if record, ok := v.Get(namespace, name); ok {
		return record, nil
	}
	return v.Read(ctx, namespace, name)
}

// Read returns the record of an object as it is stored now.
func (v *View[T]) Read(ctx context.Context, namespace, name string) (T, error) {
	obj, err := v.Object(ctx, namespace, name)
	if err != nil {
		var none T
		return none, err
	}
	return v.record(obj), nil
}

// Object returns the whole object as it is stored now, and the view knows it from then on. The error is what the API would
// answer: NotFound, BadRequest for a name that no object can have, or Unavailable.
func (v *View[T]) Object(ctx context.Context, namespace, name string) (runtime.Object, error) {
	key, err := v.storageKey(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	if !v.reads.begin(ctx) {
		return nil, &Unavailable{v.resource, errCrowded}
	}
	defer v.reads.end()
	generation, obj := v.generation(), v.source.new()
	if err := v.storage.Get(ctx, key, storage.GetOptions{}, obj); err != nil {
		if storage.IsNotFound(err) {
			v.miss(generation, Key{namespace, name})
			return nil, apierrors.NewNotFound(v.resource, name)
		}
		return nil, &Unavailable{v.resource, err}
	}
	v.local(generation, obj, read)
	return obj, nil
}

// Keys returns the names of all objects for which keep holds, in no order.
func (v *View[T]) Keys(keep func(Key, T) bool) []Key {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var keys []Key
	for key, e := range v.objects.all() {
		if keep(key, e.record) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (v *View[T]) storageKey(ctx context.Context, namespace, name string) (string, error) {
	if v.clusterScoped {
		return genericregistry.NoNamespaceKeyFunc(ctx, v.storagePrefix, name)
	}
	return genericregistry.NamespaceKeyFunc(genericapirequest.WithNamespace(ctx, namespace), v.storagePrefix, name)
}

// identify returns the key and the version of an object from the storage.
func identify(obj runtime.Object) (Key, uint64, error) {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return Key{}, 0, err
	}
	version, err := strconv.ParseUint(accessor.GetResourceVersion(), 10, 64)
	if err != nil {
		return Key{}, 0, fmt.Errorf("resource version: %w", err)
	}
	return Key{accessor.GetNamespace(), accessor.GetName()}, version, nil
}

// WaitForSync returns when the view is in step with the storage, or the context ends.
func (v *View[T]) WaitForSync(ctx context.Context) error {
	start := time.Now()
	select {
	case <-v.Synced():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the stored %s could not be read within %s: %w", v.resource, time.Since(start).Round(time.Millisecond), ctx.Err())
	}
}
