package oauth

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"github.com/mintmark/mintmark/internal/view"
)

// readTimeout bounds how long a review waits for the storage. Whoever waits for the review gives up after ten seconds, or
// asks again when it is told early that there is no verdict.
const readTimeout = 3 * time.Second

// unavailable says that the storage gave no answer, so that there is no verdict about a token. It doesn't tell for which
// name the storage was asked.
type unavailable struct{ resource string }

// Error says what could not be read.
func (e unavailable) Error() string { return "the stored " + e.resource + " could not be read" }

// Unavailable marks an error that is not a refusal.
func (unavailable) Unavailable() {}

// lookup returns the record of an object. One that is not in memory is looked for in the storage, since another replica
// may have created it a moment ago.
func lookup[T any](ctx context.Context, view *view.View[T], namespace, name string) (T, error) {
	if record, ok := view.Get(namespace, name); ok {
		return record, nil
	}
	return read(ctx, view, namespace, name)
}

// read returns the record of an object as it is stored now.
func read[T any](ctx context.Context, view *view.View[T], namespace, name string) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	record, err := view.Read(ctx, namespace, name)
	return record, answered(view.Resource().Resource, err)
}

// object returns an object as it is stored now.
func object[T any](ctx context.Context, view *view.View[T], namespace, name string) (runtime.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	obj, err := view.Object(ctx, namespace, name)
	return obj, answered(view.Resource().Resource, err)
}

// answered tells what the storage has said from its silence.
func answered(resource string, err error) error {
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) || storage.IsCorruptObject(err) {
		return err
	}
	return unavailable{resource}
}
