package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

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

// queue holds the keys that are to be settled.
type queue[K comparable] = workqueue.TypedRateLimitingInterface[K]

// loop is the queue of a controller while the controller runs. Its one worker settles a key at a time.
type loop[K comparable] struct {
	clock clock.WithTicker // nil is the machine's

	mu    sync.Mutex
	queue queue[K] // nil while the controller does not run
}

func newLoop[K comparable](c clock.WithTicker) *loop[K] { return &loop[K]{clock: c} }

// Add queues a key. While the controller does not run the key is dropped, and Add reports false: run begins with all keys
// that matter then.
func (l *loop[K]) Add(key K) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue == nil {
		return false
	}
	l.queue.Add(key)
	return true
}

// run settles the keys that first returns and all that are queued later, until the context ends. It may be called again
// when it has returned.
func (l *loop[K]) run(ctx context.Context, first func() []K, settle settle[K]) {
	q := workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[K](firstRetry, lastRetry), workqueue.TypedRateLimitingQueueConfig[K]{Clock: l.clock})
	stop := context.AfterFunc(ctx, q.ShutDown)
	defer stop()
	defer q.ShutDown()
	l.use(q) // before first looks: a change in between must not be missed
	defer l.use(nil)
	for _, key := range first() {
		q.Add(key)
	}
	for more := true; more && ctx.Err() == nil; {
		more = next(ctx, q, settle)
	}
}

func (l *loop[K]) use(q queue[K]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = q
}

func next[K comparable](ctx context.Context, q queue[K], settle settle[K]) bool {
	key, end := q.Get()
	if end {
		return false
	}
	defer q.Done(key)
	again, err := settleSafely(ctx, key, settle)
	if err != nil && ctx.Err() == nil {
		report(ctx, key, err)
		q.AddRateLimited(key)
		return true
	}
	q.Forget(key)
	if again > 0 {
		q.AddAfter(key, again)
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
