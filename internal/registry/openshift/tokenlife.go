package openshift

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// lease returns how long, in seconds, the storage keeps a token that lives for some seconds; 0 is for ever. A token that
// is changed keeps the rest of its life. With a new life it would stay in the storage after it has ended.
func lease(expiresIn int64, created, now time.Time) uint64 {
	if expiresIn <= 0 {
		return 0
	}
	// The age is rounded down, so the object is never removed before the token has ended.
	left := expiresIn - int64(now.Sub(created)/time.Second)
	// The clock of another server may be ahead, and one that is already over still needs a time.
	left = max(min(left, expiresIn), 1)
	return uint64(min(left, maxExpiresIn))
}

// leases has the storage remove tokens when they have ended.
func leases[T runtime.Object](expiresIn func(T) int64) func(runtime.Object, uint64, bool) (uint64, error) {
	return func(obj runtime.Object, _ uint64, _ bool) (uint64, error) {
		accessor, err := meta.Accessor(obj)
		if err != nil {
			return 0, err
		}
		return lease(expiresIn(obj.(T)), accessor.GetCreationTimestamp().Time, time.Now()), nil
	}
}
