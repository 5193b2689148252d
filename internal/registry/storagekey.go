package registry

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

// withUpstreamKeys gives storage to resources whose errors name the keys that kube-apiserver uses.
type withUpstreamKeys struct{ generic.RESTOptionsGetter }

// GetRESTOptions returns the options for the storage of a resource.
func (g withUpstreamKeys) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	next := options.Decorator
	options.Decorator = func(config *storagebackend.ConfigForResource, prefix string, keyFunc func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, attrs storage.AttrFunc, trigger storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		stored, destroy, err := next(config, prefix, keyFunc, newFunc, newListFunc, attrs, trigger, indexers)
		if err != nil {
			return nil, nil, err
		}
		return upstreamKeys{stored}, destroy, nil
	}
	return options, nil
}

// upstreamKeys is a storage whose errors name the keys that kube-apiserver uses, since clients see some of them. The
// prefix of our own keys differs.
type upstreamKeys struct{ storage.Interface }

// GuaranteedUpdate updates an object.
func (s upstreamKeys) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, cached runtime.Object,
) error {
	return withUpstreamKey(key, s.Interface.GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, update, cached))
}

// Delete deletes an object.
func (s upstreamKeys) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, options storage.DeleteOptions,
) error {
	return withUpstreamKey(key, s.Interface.Delete(ctx, key, out, preconditions, validate, cached, options))
}

func withUpstreamKey(key string, err error) error {
	if failure, ok := errors.AsType[*storage.StorageError](err); ok {
		shown := *failure
		shown.Key = "/registry" + key
		return &shown
	}
	return err
}
