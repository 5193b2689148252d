package registry

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

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
