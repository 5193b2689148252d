package controller

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/crash"
)

// A key that fails is tried again, first at once and then ever later.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Minute
)

// settle handles a key. It is called again after the duration that it returns, if that is not 0, or soon if it returns an
// error.
type settle[K comparable] func(ctx context.Context, key K) (again time.Duration, err error)

// pending is the error of a key that waits for other writers. It is not logged as an error.
type pending string

func (p pending) Error() string { return string(p) }

// loop is the queue of a controller. Its one worker settles a key at a time.
type loop[K comparable] struct {
	workqueue.TypedRateLimitingInterface[K]
}

func newLoop[K comparable]() loop[K] {
	return loop[K]{workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[K](firstRetry, lastRetry))}
}

// run settles the given keys and all that are queued later, until the context ends.
func (l loop[K]) run(ctx context.Context, now []K, settle settle[K]) {
	stop := context.AfterFunc(ctx, l.ShutDown)
	defer stop()
	for _, key := range now {
		l.Add(key)
	}
	for more := true; more && ctx.Err() == nil; {
		more = l.next(ctx, settle)
	}
}

func (l loop[K]) next(ctx context.Context, settle settle[K]) bool {
	key, end := l.Get()
	if end {
		return false
	}
	defer l.Done(key)
	again, err := settleSafely(ctx, key, settle)
	if err != nil && ctx.Err() == nil {
		report(ctx, key, err)
		l.AddRateLimited(key)
		return true
	}
	l.Forget(key)
	if again > 0 {
		l.AddAfter(key, again)
	}
	return true
}

// report logs why a key is not settled. Conflicts and pending keys are common, so they are logged at a high verbosity.
func report[K comparable](ctx context.Context, key K, err error) {
	logger := klog.FromContext(ctx)
	if _, waits := errors.AsType[pending](err); waits || apierrors.IsConflict(err) {
		logger.V(4).Info("Trying again", "key", key, "reason", err.Error())
		return
	}
	logger.Error(err, "Trying again", "key", key)
}

// settleSafely turns a panic into an error: a broken controller must not take the server down.
func settleSafely[K comparable](ctx context.Context, key K, settle settle[K]) (again time.Duration, err error) {
	defer func() {
		if r := recover(); r != nil {
			panicked := crash.Recovered(r)
			panicked.Log(ctx, "A controller panicked")
			err = panicked
		}
	}()
	return settle(ctx, key)
}

// ignoreNotFound is for writes to objects that may have been deleted meanwhile.
func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// unchanged makes a delete fail with a conflict if the object is not the version that was read.
func unchanged(obj metav1.Object) metav1.DeleteOptions {
	uid, version := obj.GetUID(), obj.GetResourceVersion()
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
}
