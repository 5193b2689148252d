package view

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Decorate returns the decorator that puts the view in front of the storage which next makes.
func (v *View[T]) Decorate(next generic.StorageDecorator) generic.StorageDecorator {
	return func(config *storagebackend.ConfigForResource, prefix string, keyFunc func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, attrs storage.AttrFunc, trigger storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		stored, destroy, err := next(config, prefix, keyFunc, newFunc, newListFunc, attrs, trigger, indexers)
		if err != nil {
			return nil, nil, err
		}
		v.storage, v.storagePrefix = stored, prefix
		v.source = newEncoding(config, prefix, v.clusterScoped, newFunc)
		return writeThrough{Interface: stored, written: v.stored, deleted: v.deleted}, destroy, nil
	}
}

// writeThrough is a storage whose writes are in the view before they return.
type writeThrough struct {
	storage.Interface
	written, deleted func(runtime.Object)
}

func (w writeThrough) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if err := w.Interface.Create(ctx, key, obj, out, ttl); err != nil {
		return err
	}
	w.written(out)
	return nil
}

func (w writeThrough) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, cached runtime.Object,
) error {
	if err := w.Interface.GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, update, cached); err != nil {
		return err
	}
	w.written(out)
	return nil
}

func (w writeThrough) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions,
) error {
	if err := w.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts); err != nil {
		return err
	}
	w.deleted(out)
	return nil
}

// stored takes in an object that this process has stored.
func (v *View[T]) stored(obj runtime.Object) { v.local(v.generation(), obj, written) }

// deleted takes in that this process has deleted an object; its version is that of the deletion.
func (v *View[T]) deleted(obj runtime.Object) { v.local(v.generation(), obj, deleted) }

// deed is what this process has done to a stored object.
type deed int

const (
	written deed = iota
	deleted
	read
)

// local takes in what this process has done.
func (v *View[T]) local(generation int, obj runtime.Object, did deed) {
	key, version, err := identify(obj)
	if err != nil {
		// The watch will bring the change. A storage that returns an object without its version is broken.
		klog.Background().Error(err, "A stored object can't be taken into memory", "resource", v.resource)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resets != generation {
		return
	}
	if did != deleted {
		v.note(key, version)
	}
	if did == written {
		delete(v.missed, key)
	}
	// What the watch has passed is in the view already, with all that came after it.
	if version <= v.reached || v.ahead(key, version) {
		return
	}
	if did == deleted {
		v.gone[key] = version
		v.drop(key, version)
		return
	}
	v.put(key, entry[T]{v.record(obj), version, LinksOf(obj)}, obj)
}

// miss takes in that a read, which has just ended, did not find an object. Of which version that is, storages do not say: before
// the object counts again, the view must be proved current at a later instant, or this process must write it. Otherwise the watch
// could bring to life, for a moment, what has been found gone.
func (v *View[T]) miss(generation int, key Key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resets == generation {
		v.missed[key] = v.now()
	}
}

// ahead reports whether the view knows of something later about an object than version. The lock is held.
func (v *View[T]) ahead(key Key, version uint64) bool {
	e, _ := v.objects.get(key)
	return e.version >= version || v.gone[key] >= version
}

func (v *View[T]) put(key Key, e entry[T], obj runtime.Object) {
	before := v.observed(key)
	v.objects.put(key, e)
	for _, h := range v.handlers {
		h(key, obj)
	}
	if v.observer != nil {
		v.observer(Change[T]{Key: key, Version: e.version, Before: before, After: &e.record, Object: obj})
	}
}

// observed returns the record of an object for the observer, if there is one.
func (v *View[T]) observed(key Key) *T {
	if v.observer == nil {
		return nil
	}
	e, ok := v.objects.get(key)
	if !ok {
		return nil
	}
	return &e.record
}

// drop removes an object that is gone at a version. The observer is not told of version 0: everything is being forgotten.
func (v *View[T]) drop(key Key, version uint64) {
	if _, ok := v.objects.get(key); !ok {
		return
	}
	before := v.observed(key)
	v.objects.remove(key)
	for _, h := range v.handlers {
		h(key, nil)
	}
	if v.observer != nil && version != 0 {
		v.observer(Change[T]{Key: key, Version: version, Before: before})
	}
}
