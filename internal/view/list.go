package view

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"
)

// lister is the side of the view that the reflector reads the storage through.
type lister[T any] View[T]

// IsWatchListSemanticsUnSupported has the reflector list and then watch: the storage is next door.
func (l *lister[T]) IsWatchListSemanticsUnSupported() bool { return true }

// List reads a page of the objects, for the reflector.
func (l *lister[T]) List(opts metav1.ListOptions) (runtime.Object, error) {
	return l.ListWithContext(context.Background(), opts)
}

// ListWithContext reads a page of the objects, for the reflector.
func (l *lister[T]) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	predicate := storage.Everything
	predicate.Limit, predicate.Continue = opts.Limit, opts.Continue
	page := l.source.newList()
	err := l.source.GetList(ctx, l.source.prefix, storage.ListOptions{
		ResourceVersion:      opts.ResourceVersion,
		ResourceVersionMatch: opts.ResourceVersionMatch,
		Predicate:            predicate,
		Recursive:            true,
	}, page)
	if err != nil {
		return nil, err
	}
	return l.shorten(page)
}

// shorten returns a page with no more of its objects than the view needs: the reflector has all pages in memory at once,
// and the objects take many times as much as what is kept of them.
func (l *lister[T]) shorten(page runtime.Object) (runtime.Object, error) {
	v := (*View[T])(l)
	accessor, err := meta.ListAccessor(page)
	if err != nil {
		return nil, err
	}
	short := &metainternalversion.List{}
	short.ResourceVersion, short.Continue = accessor.GetResourceVersion(), accessor.GetContinue()
	short.RemainingItemCount = accessor.GetRemainingItemCount()
	whole := v.handled()
	err = meta.EachListItem(page, func(obj runtime.Object) error {
		item, err := v.shorten(obj, whole)
		short.Items = append(short.Items, item)
		return err
	})
	return short, err
}

// handled reports whether there are handlers.
func (v *View[T]) handled() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.handlers) > 0
}

// listed is what a list tells of an object.
type listed[T any] struct {
	key     Key
	version uint64
	record  T
	// whole is the object itself, for handlers. It is nil if there was none when the list was read.
	whole runtime.Object
}

func (v *View[T]) shorten(obj runtime.Object, whole bool) (*listed[T], error) {
	key, version, err := identify(obj)
	if err != nil {
		return nil, err
	}
	item := &listed[T]{key: key, version: version, record: v.record(obj)}
	if whole {
		item.whole = obj
	}
	return item, nil
}

// GetObjectKind says nothing: it is for lists to hold it.
func (l *listed[T]) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns the same, which nobody changes.
func (l *listed[T]) DeepCopyObject() runtime.Object { return l }
