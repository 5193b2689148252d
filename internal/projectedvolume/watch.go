package projectedvolume

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/mintmark/mintmark/internal/crash"
)

// objectKey names a config map or a secret.
type objectKey struct {
	secret          bool
	namespace, name string
}

// objectsOf are the objects that files of a pod are made of.
func objectsOf(pod *corev1.Pod) []objectKey {
	var keys []objectKey
	for _, v := range projected(pod) {
		for _, source := range v.Projected.Sources {
			switch {
			case source.ConfigMap != nil:
				keys = append(keys, objectKey{false, pod.Namespace, source.ConfigMap.Name})
			case source.Secret != nil:
				keys = append(keys, objectKey{true, pod.Namespace, source.Secret.Name})
			}
		}
	}
	slices.SortFunc(keys, objectKey.compare)
	return slices.Compact(keys)
}

func (a objectKey) compare(b objectKey) int {
	switch {
	case a == b:
		return 0
	case !a.secret && b.secret, a.secret == b.secret && a.name < b.name:
		return -1
	}
	return 1
}

// objectWatches watches single objects by name, as the node has a right to, each once for all pods. An idle watch costs nothing but
// its stream. Nothing is kept of an object: when it may have changed, the volumes that are made of it are looked at again.
type objectWatches struct {
	client kubernetes.Interface
	clock  clock.Clock
	// running is set by Keeper.Run, before any watch.
	running context.Context //nolint:containedctx // watches start when pods come
	work    sync.WaitGroup

	mu      sync.Mutex
	watches map[objectKey]*objectWatch
}

type objectWatch struct {
	cancel context.CancelFunc
	pods   map[*podKeeper]bool
}

func newObjectWatches(client kubernetes.Interface, c clock.Clock) *objectWatches {
	return &objectWatches{client: client, clock: c, watches: map[objectKey]*objectWatch{}}
}

// watch has the pod poked when one of the objects may have changed, and for no others any more.
func (p *podKeeper) watch(keys []objectKey) {
	for _, key := range p.watched {
		if !slices.Contains(keys, key) {
			p.keeper.watches.remove(key, p)
		}
	}
	for _, key := range keys {
		p.keeper.watches.add(key, p)
	}
	p.watched = keys
}

func (w *objectWatches) add(key objectKey, p *podKeeper) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one, ok := w.watches[key]
	if !ok {
		ctx, cancel := context.WithCancel(w.running)
		one = &objectWatch{cancel, map[*podKeeper]bool{}}
		w.watches[key] = one
		w.work.Go(func() { crash.Keep(ctx, func(ctx context.Context) { w.follow(ctx, key) }) })
	}
	one.pods[p] = true
}

func (w *objectWatches) remove(key objectKey, p *podKeeper) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one, ok := w.watches[key]
	if !ok {
		return
	}
	delete(one.pods, p)
	if len(one.pods) == 0 {
		one.cancel()
		delete(w.watches, key)
	}
}

// poke pokes the pods whose files are made of an object.
func (w *objectWatches) poke(key objectKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one, ok := w.watches[key]; ok {
		for p := range one.pods {
			p.poke()
		}
	}
}

// steady is how long a watch must have lasted for the next one to follow at once.
const steady = 10 * time.Second

// follow watches an object until the context ends.
func (w *objectWatches) follow(ctx context.Context, key objectKey) {
	failures := 0
	for ctx.Err() == nil {
		began := w.clock.Now()
		if w.once(ctx, key) && w.clock.Since(began) >= steady {
			failures = 0
			continue
		}
		failures++
		timer := w.clock.NewTimer(retryIn(failures, false, 0))
		select {
		case <-ctx.Done():
		case <-timer.C():
		}
		timer.Stop()
	}
}

// once watches an object until the watch ends, and reports whether there was one. The object may have changed before it began.
func (w *objectWatches) once(ctx context.Context, key objectKey) bool {
	events, err := w.open(ctx, key)
	if err != nil {
		return false
	}
	defer events.Stop()
	w.poke(key)
	for {
		select {
		case <-ctx.Done():
			return true
		case event, ok := <-events.ResultChan():
			switch {
			case !ok:
				return true
			case event.Type == watch.Error:
				return false
			case event.Type != watch.Bookmark:
				w.poke(key)
			}
		}
	}
}

func (w *objectWatches) open(ctx context.Context, key objectKey) (watch.Interface, error) {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, key.name).String()}
	if key.secret {
		return w.client.CoreV1().Secrets(key.namespace).Watch(ctx, options)
	}
	return w.client.CoreV1().ConfigMaps(key.namespace).Watch(ctx, options)
}
