package boundobject

import (
	"context"
	"crypto/sha256"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mintmark/mintmark/internal/cache"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

const (
	// goneFor is how long it is remembered that an object is gone.
	goneFor = 10 * time.Second
	// goneBytes bounds the memory for that.
	goneBytes = 1 << 20
)

// gone remembers objects that the storage did not have when it was asked, each by its name and UID.
//
// This can be remembered, and a later token can't be refused for it: a token that names a UID was signed when the object
// existed, and a UID is never given twice, so an object that is gone stays gone. An etcd that is restored from a backup
// brings objects back. The views are asked first, so such an object counts from when its view has it.
type gone struct{ until *cache.Cache[time.Time] }

func newGone() gone { return gone{cache.New[time.Time](goneBytes)} }

func (g gone) has(key cache.Key, now time.Time) bool {
	until, ok := g.until.Get(key)
	return ok && now.Before(until)
}

func (g gone) add(key cache.Key, now time.Time) { g.until.Add(key, now.Add(goneFor), 0) }

// goneKey is the key of an object. No part of it can have a zero byte in it but in a token that names no object.
func goneKey(resource schema.GroupResource, namespace string, ref Ref) cache.Key {
	return sha256.Sum256([]byte(resource.Resource + "\x00" + namespace + "\x00" + ref.Name + "\x00" + string(ref.UID)))
}

// identified is a record of an object.
type identified interface{ identity() object }

// current returns the record of an object that a signed token names. Where memory holds none, or one with another UID, the
// storage decides.
func current[T identified](ctx context.Context, x *Index, v *view.View[T], namespace string, ref Ref, now time.Time) (T, error) {
	record, ok := v.Get(namespace, ref.Name)
	if ok && record.identity().UID == ref.UID {
		return record, nil
	}
	key := goneKey(v.Resource(), namespace, ref)
	if x.gone.has(key, now) {
		if ok {
			return record, nil
		}
		return record, apierrors.NewNotFound(v.Resource(), ref.Name)
	}
	record, err := v.Find(ctx, namespace, ref.Name, func(r T) bool { return r.identity().UID == ref.UID })
	if apierrors.IsNotFound(err) || err == nil && record.identity().UID != ref.UID {
		x.gone.add(key, now)
	}
	return record, err
}

// Account returns the record of the service account that a signed token names. Its UID may be another one.
func (x *Index) Account(ctx context.Context, namespace string, ref Ref, now time.Time) (ServiceAccount, error) {
	account, err := current(ctx, x, x.ServiceAccounts, namespace, ref, now)
	if err != nil && !unread(err) {
		err = reason.With(reason.AccountGone, err)
	}
	return account, err
}
