package projectedvolume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/mintmark/mintmark/internal/crash"
)

// The directory of a volume is <root>/pods/<namespace>_<pod>/volumes/<volume>.
const podsDirectory, volumesDirectory = "pods", "volumes"

// Config is what a Keeper works with.
type Config struct {
	// Root is the directory that everything is written below. It is made if it is missing. A tmpfs keeps tokens off the disk.
	Root string
	// Client asks for tokens and reads objects, with the rights of the pods' node.
	Client kubernetes.Interface
	// Clock is the real one if it is nil.
	Clock clock.Clock
	// Changed, if it is not nil, is called after the status of a volume changed. It must return soon.
	Changed func()
}

// Keeper keeps the projected volumes of pods. Its methods may be called at any time and return at once; Run does the work.
type Keeper struct {
	root    directory
	lock    *os.File
	client  kubernetes.Interface
	objects objectReader
	watch   stopwatch
	watches *objectWatches
	changed func()
	written chan struct{}

	mu sync.Mutex
	// running is nil until Run is called.
	running context.Context //nolint:containedctx // goroutines start when pods come
	pods    map[string]*podKeeper
	listed  bool
	left    left
	work    sync.WaitGroup
}

// NewKeeper opens and locks the root directory. It fails if another process has it, or if others could replace what is in it.
func NewKeeper(config Config) (*Keeper, error) {
	root, lock, err := openRoot(config.Root)
	if err != nil {
		return nil, err
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	if config.Changed == nil {
		config.Changed = func() {}
	}
	left, err := findLeft(root)
	if err != nil {
		return nil, errors.Join(err, root.Close(), lock.Close())
	}
	k := &Keeper{
		root: root, lock: lock, client: config.Client, objects: objectReader{config.Client}, watch: newStopwatch(config.Clock),
		watches: newObjectWatches(config.Client, config.Clock), changed: config.Changed, written: make(chan struct{}), pods: map[string]*podKeeper{}, left: left,
	}
	k.measure(k.watch.now())
	return k, nil
}

// Set tells of a pod of this node: one that is new, or changed. A pod that is being deleted is kept on; one that has finished is as
// good as gone. The pod must not be changed afterwards.
func (k *Keeper) Set(pod *corev1.Pod) {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		k.Remove(pod.Namespace, pod.Name, pod.UID)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.ensure(directoryName(pod.Namespace, pod.Name))
	old := p.pod
	p.pod = pod
	if old != nil && old.UID == pod.UID && sameFields(old, pod) {
		return
	}
	p.stale = true
	if old == nil || old.UID != pod.UID {
		p.states = newStates(pod)
		p.stop()
	}
	p.notify()
}

// sameFields reports whether two states of a pod have the same files.
func sameFields(a, b *corev1.Pod) bool {
	return equality.Semantic.DeepEqual(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Annotations, b.Annotations) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

// Remove tells that a pod is gone. Its directory is removed. A pod of the same name and another uid stays; no uid stands for any.
func (k *Keeper) Remove(namespace, name string, uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.ensure(directoryName(namespace, name))
	if p.pod != nil && uid != "" && p.pod.UID != uid {
		return
	}
	k.drop(p)
}

// drop has the directory of a pod removed.
func (k *Keeper) drop(p *podKeeper) {
	p.pod, p.states = nil, nil
	p.stop()
	p.notify()
	k.checkWritten()
	k.measure(k.watch.now())
}

// Retain tells which pods there are, once they are all known. Those that are not among them, and the directories of such pods that
// an earlier process left, are removed.
func (k *Keeper) Retain(pods []types.NamespacedName) error {
	retained := map[string]bool{}
	for _, pod := range pods {
		retained[directoryName(pod.Namespace, pod.Name)] = true
	}
	present, err := podDirectories(k.root)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range present {
		k.ensure(name)
	}
	for name, p := range k.pods {
		if !retained[name] {
			k.drop(p)
		}
	}
	k.listed = true
	k.checkWritten()
	return err
}

// RenewAll has all tokens renewed and everything else read again.
func (k *Keeper) RenewAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.pods {
		p.renew = true
		p.notify()
	}
}

// Written is closed once Retain was called and all volumes of the pods known then are written.
func (k *Keeper) Written() <-chan struct{} { return k.written }

// checkWritten closes the channel if it is time.
func (k *Keeper) checkWritten() {
	if !k.listed {
		return
	}
	for _, p := range k.pods {
		for i := range p.states {
			if p.states[i].Written.IsZero() {
				return
			}
		}
	}
	select {
	case <-k.written:
	default:
		close(k.written)
	}
}

// ensure returns the keeper of a pod's directory, and starts one if there is none.
func (k *Keeper) ensure(name string) *podKeeper {
	p, ok := k.pods[name]
	if !ok {
		p = &podKeeper{keeper: k, name: name, wake: make(chan struct{}, 1), interrupt: func() {}}
		k.pods[name] = p
		if k.running != nil {
			k.start(p)
		}
	}
	return p
}

func (k *Keeper) start(p *podKeeper) {
	ctx := k.running
	k.work.Go(func() { crash.Keep(ctx, p.run) })
}

// forget ends the keeper of a directory that was removed, unless a pod of that name has come meanwhile.
func (k *Keeper) forget(p *podKeeper) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.pod != nil {
		return false
	}
	delete(k.pods, p.name)
	delete(k.left, p.name)
	return true
}

// stop ends what is going on for the pod as it was before.
func (p *podKeeper) stop() { p.interrupt() }

// Run keeps the volumes until the context ends, and then gives up the root directory; the files stay. It is called once.
func (k *Keeper) Run(ctx context.Context) error {
	k.mu.Lock()
	k.running = ctx
	k.watches.running = ctx
	for _, p := range k.pods {
		k.start(p)
	}
	k.mu.Unlock()
	k.followClock(ctx)
	k.work.Wait()
	k.watches.work.Wait()
	return errors.Join(k.root.Close(), k.lock.Close())
}

const (
	// lookAtClock is how often the two clocks are compared, and clockStep is how far they may drift apart in that time.
	lookAtClock = time.Minute
	clockStep   = 5 * time.Second
)

// followClock has all timers set anew when the wall clock was set, or when the machine has slept: timers stand still meanwhile.
func (k *Keeper) followClock(ctx context.Context) {
	before := k.watch.now()
	for {
		timer := k.watch.clock.NewTimer(lookAtClock)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
		now := k.watch.now()
		if drift := now.wall.Sub(before.wall) - (now.up - before.up); drift.Abs() > clockStep {
			k.mu.Lock()
			for _, p := range k.pods {
				p.notify()
			}
			k.mu.Unlock()
		}
		before = now
	}
}

// directoryName is the name of a pod's directory. Neither part has an underscore, so no two pods share one.
func directoryName(namespace, name string) string { return namespace + "_" + name }

// checkDirectoryName refuses what is no name of a pod's directory.
func checkDirectoryName(directory string) error {
	namespace, name, _ := strings.Cut(directory, "_")
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return permanent(fmt.Errorf("%q is not the namespace and the name of a pod", directory))
	}
	if len(directory) > maxElement {
		return permanent(fmt.Errorf("namespace and name of the pod have %d characters, and with the one between them no more than %d make the name of a directory: give it a shorter name",
			len(directory)-1, maxElement))
	}
	return nil
}

// isDirectoryName reports whether a name is that of a pod's directory.
func isDirectoryName(directory string) bool { return checkDirectoryName(directory) == nil }
