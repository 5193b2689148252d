package view

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"
)

// pageSize is how many objects are listed at once. For every page etcd counts all that is left, so that many small pages
// of many objects take most of the time of a start; and a page of whole objects is in memory at once.
const pageSize = 2000

// Run follows the storage until the context ends.
func (v *View[T]) Run(ctx context.Context) {
	reflector := cache.NewReflectorWithOptions((*lister[T])(v), v.source.new(), (*feed[T])(v), cache.ReflectorOptions{
		Name: "view of " + v.resource.String(),
	})
	reflector.WatchListPageSize = pageSize
	reflector.RunWithContext(ctx)
}

// Watch follows the objects, for the reflector.
func (l *lister[T]) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return l.WatchWithContext(context.Background(), opts)
}

// WatchWithContext follows the objects, for the reflector.
func (l *lister[T]) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	predicate := storage.Everything
	predicate.AllowWatchBookmarks = opts.AllowWatchBookmarks
	return l.source.Watch(ctx, l.source.prefix, storage.ListOptions{
		ResourceVersion: opts.ResourceVersion,
		Predicate:       predicate,
		Recursive:       true,
	})
}

// feed is the side of the view that the reflector writes to.
type feed[T any] View[T]

// Add takes in an object that the watch has seen created.
func (f *feed[T]) Add(obj any) error { return f.Update(obj) }

// Update takes in an object that the watch has seen changed.
func (f *feed[T]) Update(obj any) error { return f.seen(obj, false) }

// Delete takes in that the watch has seen an object deleted.
func (f *feed[T]) Delete(obj any) error { return f.seen(obj, true) }

func (f *feed[T]) seen(event any, gone bool) error {
	obj, ok := event.(runtime.Object)
	if !ok {
		return fmt.Errorf("the watch brought a %T", event)
	}
	key, version, err := identify(obj)
	if err != nil {
		return err
	}
	v := (*View[T])(f)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reached = max(v.reached, version)
	if !v.ahead(key, version) {
		if gone {
			v.drop(key)
		} else {
			v.put(key, version, v.record(obj), obj)
		}
	}
	if v.gone[key] <= version {
		delete(v.gone, key)
	}
	return nil
}

// errHandlerCame has the reflector list again.
var errHandlerCame = errors.New("a handler was added while the objects were listed, which it needs whole")

// Replace takes in all objects as they were at a version.
func (f *feed[T]) Replace(list []any, resourceVersion string) error {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("version of the list: %w", err)
	}
	v := (*View[T])(f)
	v.mu.Lock()
	defer v.mu.Unlock()
	items := make(map[Key]struct{}, len(list))
	for _, item := range list {
		l, ok := item.(*listed[T])
		if !ok {
			return fmt.Errorf("the list holds a %T", item)
		}
		if l.whole == nil && len(v.handlers) > 0 {
			return errHandlerCame
		}
		items[l.key] = struct{}{}
	}
	for _, item := range list {
		if l := item.(*listed[T]); !v.ahead(l.key, l.version) {
			v.put(l.key, l.version, l.record, l.whole)
		}
	}
	for key, e := range v.objects {
		if _, ok := items[key]; !ok && e.version <= version {
			v.drop(key)
		}
	}
	for key, at := range v.gone {
		if at <= version {
			delete(v.gone, key)
		}
	}
	v.reached = max(v.reached, version)
	select {
	case <-v.synced:
	default:
		close(v.synced)
	}
	return nil
}

// UpdateResourceVersion takes in that nothing has changed up to a version.
func (f *feed[T]) UpdateResourceVersion(resourceVersion string) {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return
	}
	v := (*View[T])(f)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reached = max(v.reached, version)
}

// Resync does nothing: the view is never out of step by itself.
func (f *feed[T]) Resync() error { return nil }
