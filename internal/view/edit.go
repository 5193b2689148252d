package view

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// List reads all objects of the resource as they are stored now, a few at most. One that can't be read makes the whole
// fail, as Unavailable.
func (v *View[T]) List(ctx context.Context, store Store) ([]runtime.Object, error) {
	page, err := get(ctx, store, v.source.prefix, readTimeout, clientv3.WithPrefix())
	if err != nil {
		return nil, &Unavailable{v.resource, err}
	}
	var objects []runtime.Object
	for _, kv := range page.Kvs {
		key, err := v.source.key(kv.Key)
		if err != nil {
			continue // nothing that the storage would find, either
		}
		obj, err := v.source.decode(ctx, key, kv)
		if err != nil {
			return nil, &Unavailable{v.resource, err}
		}
		objects = append(objects, obj)
	}
	return objects, nil
}

// Create stores an object that the process makes for itself, without admission. The error is AlreadyExists if there is one
// of its name, BadRequest for a name that no object can have, or Unavailable.
func (v *View[T]) Create(ctx context.Context, namespace, name string, obj runtime.Object) error {
	key, err := v.storageKey(ctx, namespace, name)
	if err != nil {
		return err
	}
	out := v.source.new()
	if err := v.storage.Create(ctx, key, obj, out, 0); err != nil {
		if storage.IsExist(err) {
			return apierrors.NewAlreadyExists(v.resource, name)
		}
		return &Unavailable{v.resource, err}
	}
	v.stored(out)
	return nil
}

// Update changes a stored object by compare-and-swap, without admission. change is called with the object as it is stored,
// again if it was written meanwhile. If change returns an error, nothing is written and Update returns that error. Other
// errors are NotFound, BadRequest and Unavailable.
func (v *View[T]) Update(ctx context.Context, namespace, name string, change func(runtime.Object) error) error {
	key, err := v.storageKey(ctx, namespace, name)
	if err != nil {
		return err
	}
	var refused error
	out := v.source.new()
	err = v.storage.GuaranteedUpdate(ctx, key, out, false, nil, func(obj runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
		refused = change(obj)
		return obj, nil, refused
	}, nil)
	switch {
	case err == nil:
		v.stored(out)
		return nil
	case refused != nil:
		return refused
	case storage.IsNotFound(err):
		return apierrors.NewNotFound(v.resource, name)
	}
	return &Unavailable{v.resource, err}
}
