package apiserver

import (
	"context"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/mintmark/mintmark/internal/testclock"
)

// now returns the clock by which tokens and keys live.
func (c Config) now() func() time.Time {
	if c.Clock == nil {
		return time.Now
	}
	return c.Clock.Now
}

// timers returns the timers that go with now; nil means the machine's.
func (c Config) timers() clock.WithTicker {
	if c.Clock == nil {
		return nil
	}
	return c.Clock
}

// dated has answers say the time of a clock, by which clients tell how long a token lives.
func dated(next http.Handler, c *testclock.Clock) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", c.Now().UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// intercepted has something stand in front of the answers to requests that come from outside.
func intercepted(next http.Handler, intercept func(http.Handler) http.Handler) http.Handler {
	outside := intercept(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isInternal(r) {
			next.ServeHTTP(w, r)
			return
		}
		outside.ServeHTTP(w, r)
	})
}

// datedStorage has the times that the library writes into objects be those of a clock.
type datedStorage struct {
	storage.Interface
	clock *testclock.Clock
}

// decorateDated puts datedStorage around the storage of a resource.
func decorateDated(next generic.StorageDecorator, c *testclock.Clock) generic.StorageDecorator {
	return func(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newObject, newList func() runtime.Object,
		attributes storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		stored, destroy, err := next(config, prefix, key, newObject, newList, attributes, triggers, indexers)
		return datedStorage{stored, c}, destroy, err
	}
}

// Create stores an object with the creation time of the clock.
func (s datedStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if accessor, err := meta.Accessor(obj); err == nil {
		accessor.SetCreationTimestamp(metav1.NewTime(s.clock.Now()))
	}
	return s.Interface.Create(ctx, key, obj, out, ttl)
}

// GuaranteedUpdate has a deletion time that an update sets be one of the clock.
func (s datedStorage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, cached runtime.Object,
) error {
	return s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions,
		func(input runtime.Object, meta storage.ResponseMeta) (runtime.Object, *uint64, error) {
			before := deletionTime(input)
			output, ttl, err := update(input, meta)
			if err == nil {
				s.dateDeletion(output, before)
			}
			return output, ttl, err
		}, cached)
}

func deletionTime(obj runtime.Object) *metav1.Time {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return nil
	}
	return accessor.GetDeletionTimestamp()
}

// dateDeletion moves a deletion time that is another than before by as much as the clock is ahead.
func (s datedStorage) dateDeletion(obj runtime.Object, before *metav1.Time) {
	accessor, err := meta.Accessor(obj)
	if err != nil || accessor.GetDeletionTimestamp() == nil || accessor.GetDeletionTimestamp().Equal(before) {
		return
	}
	at := metav1.NewTime(accessor.GetDeletionTimestamp().Add(s.clock.Ahead()))
	accessor.SetDeletionTimestamp(&at)
}
