package openshift

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// lease returns how long, in seconds, the storage keeps a token that lives for some seconds; 0 is for ever. A token that
// is changed gets what is left of its life, and not another life: nothing would remove it when it has ended.
func lease(expiresIn int64, created, now time.Time) uint64 {
	if expiresIn <= 0 {
		return 0
	}
	// What has passed is rounded down: the object is there until the token has ended, never less.
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
