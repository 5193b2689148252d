package view

import (
	"context"

	"k8s.io/klog/v2"
)

// badObject is a stored object that can't be read.
type badObject struct {
	version uint64
	reason  string
}

// spoil takes in that an object can't be read any more. The view forgets what it knew of it: a lookup then asks the
// storage, which fails for this object and no other.
func (v *View[T]) spoil(generation int, key Key, b badObject) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.resets != generation {
		return
	}
	if v.ahead(key, b.version) {
		return
	}
	if v.objects.packed == nil {
		v.drop(key, b.version)
	}
	v.bad[key] = b
	v.report(key, b)
}

func (v *View[T]) report(key Key, b badObject) {
	klog.Background().Error(nil, "A stored object can't be read and is left out; store it anew or delete it",
		"key", v.source.etcdKey(key), "version", b.version, "reason", b.reason)
}

// recheck reads again what could not be read: a key may have been configured since, or the object mended behind a watch
// that missed it.
func (v *View[T]) recheck(ctx context.Context, s *Set) {
	generation := v.generation()
	for _, key := range v.Unreadable() {
		response, err := get(ctx, s.store, v.source.etcdKey(key), readTimeout)
		if err != nil {
			return
		}
		if len(response.Kvs) == 0 {
			v.seen(generation, key, uint64(response.Header.Revision), nil)
			continue
		}
		kv := response.Kvs[0]
		if obj, err := v.source.decode(ctx, key, kv); err == nil {
			v.seen(generation, key, uint64(kv.ModRevision), obj)
		}
	}
}

// maxUnreadable is how many unreadable objects are told of, and read again at a time.
const maxUnreadable = 100

// Unreadable returns the keys of the stored objects that can't be read, the first hundred of them.
func (v *View[T]) Unreadable() []Key {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var keys []Key
	for key := range v.bad {
		if len(keys) == maxUnreadable {
			break
		}
		keys = append(keys, key)
	}
	return keys
}
