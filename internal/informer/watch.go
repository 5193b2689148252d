package informer

import (
	"context"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"
)

// Run follows the storage until the context ends.
func (i *Informer[T]) Run(ctx context.Context) {
	reflector := cache.NewReflectorWithOptions(&i.source, i.source.new(), (*feed[T])(i), cache.ReflectorOptions{
		Name: "view of " + i.resource.String(),
	})
	reflector.RunWithContext(ctx)
}

// IsWatchListSemanticsUnSupported has the reflector list and then watch: the storage is next door.
func (s *source) IsWatchListSemanticsUnSupported() bool { return true }

// List reads a page of the objects, for the reflector.
func (s *source) List(opts metav1.ListOptions) (runtime.Object, error) {
	return s.ListWithContext(context.Background(), opts)
}

// ListWithContext reads a page of the objects, for the reflector.
func (s *source) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	predicate := storage.Everything
	predicate.Limit, predicate.Continue = opts.Limit, opts.Continue
	list := s.newList()
	err := s.GetList(ctx, s.prefix, storage.ListOptions{
		ResourceVersion:      opts.ResourceVersion,
		ResourceVersionMatch: opts.ResourceVersionMatch,
		Predicate:            predicate,
		Recursive:            true,
	}, list)
	return list, err
}

// Watch follows the objects, for the reflector.
func (s *source) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return s.WatchWithContext(context.Background(), opts)
}

// WatchWithContext follows the objects, for the reflector.
func (s *source) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	predicate := storage.Everything
	predicate.AllowWatchBookmarks = opts.AllowWatchBookmarks
	return s.Interface.Watch(ctx, s.prefix, storage.ListOptions{
		ResourceVersion: opts.ResourceVersion,
		Predicate:       predicate,
		Recursive:       true,
	})
}

// feed is the side of the view that the reflector writes to.
type feed[T any] Informer[T]

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
	i := (*Informer[T])(f)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reached = max(i.reached, version)
	if !i.ahead(key, version) {
		if gone {
			i.drop(key)
		} else {
			i.put(key, version, obj)
		}
	}
	if i.gone[key] <= version {
		delete(i.gone, key)
	}
	return nil
}

// Replace takes in all objects as they were at a version.
func (f *feed[T]) Replace(list []any, resourceVersion string) error {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("version of the list: %w", err)
	}
	i := (*Informer[T])(f)
	i.mu.Lock()
	defer i.mu.Unlock()
	listed := make(map[Key]struct{}, len(list))
	for _, item := range list {
		obj, ok := item.(runtime.Object)
		if !ok {
			return fmt.Errorf("the list holds a %T", item)
		}
		key, at, err := identify(obj)
		if err != nil {
			return err
		}
		listed[key] = struct{}{}
		if !i.ahead(key, at) {
			i.put(key, at, obj)
		}
	}
	for key, e := range i.objects {
		if _, ok := listed[key]; !ok && e.version <= version {
			i.drop(key)
		}
	}
	for key, at := range i.gone {
		if at <= version {
			delete(i.gone, key)
		}
	}
	i.reached = max(i.reached, version)
	select {
	case <-i.synced:
	default:
		close(i.synced)
	}
	return nil
}

// UpdateResourceVersion takes in that nothing has changed up to a version.
func (f *feed[T]) UpdateResourceVersion(resourceVersion string) {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return
	}
	i := (*Informer[T])(f)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reached = max(i.reached, version)
}

// Resync does nothing: the view is never out of step by itself.
func (f *feed[T]) Resync() error { return nil }
