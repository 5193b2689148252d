package projectedvolume

import (
	"context"
	"errors"
	"io/fs"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// podKeeper keeps the volumes of one pod, in one goroutine: the directory of a pod has one writer. It lives until the directory is
// removed.
type podKeeper struct {
	keeper *Keeper
	// name is that of the directory.
	name string
	// wake has room for one.
	wake chan struct{}

	// What follows is guarded by the keeper's mutex.

	// pod is nil when it is gone.
	pod *corev1.Pod
	// stale and renew say that all volumes are to be looked at, and that all their tokens are to be new.
	stale, renew bool
	// interrupt ends what is going on for the pod as it was before.
	interrupt context.CancelFunc
	states    []volumeState

	// What follows is the goroutine's own.

	volumes  []*volume
	kept     *corev1.Pod
	watched  []objectKey
	skew     time.Duration
	failures int
}

// notify wakes the goroutine.
func (p *podKeeper) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// poke has all volumes looked at.
func (p *podKeeper) poke() {
	p.keeper.mu.Lock()
	p.stale = true
	p.keeper.mu.Unlock()
	p.notify()
}

// run keeps the volumes until the pod is gone and its directory removed, or the context ends. Files stay when the context ends.
func (p *podKeeper) run(ctx context.Context) {
	for ctx.Err() == nil {
		pod, round, cancel := p.begin(ctx)
		next := never
		if pod != nil {
			next = p.look(round, pod)
		} else if p.end(ctx, &next) {
			cancel()
			return
		}
		cancel()
		p.sleep(ctx, next)
	}
}

// begin takes over what the pod is to be, and marks the volumes that are to be looked at.
func (p *podKeeper) begin(ctx context.Context) (*corev1.Pod, context.Context, context.CancelFunc) {
	round, cancel := context.WithCancel(ctx)
	p.keeper.mu.Lock()
	pod, stale, renew := p.pod, p.stale, p.renew
	p.stale, p.renew = false, false
	p.interrupt = cancel
	p.keeper.mu.Unlock()
	if pod == nil {
		return nil, round, cancel
	}
	if p.kept == nil || p.kept.UID != pod.UID {
		p.take(ctx, pod)
		stale = true
	}
	p.kept = pod
	now := p.keeper.watch.now()
	for _, v := range p.volumes {
		v.renew = v.renew || renew
		if stale || renew {
			v.next = now
		}
	}
	return pod, round, cancel
}

// take begins with another pod. The files of the one before stay until there are new ones.
func (p *podKeeper) take(ctx context.Context, pod *corev1.Pod) {
	p.volumes = nil
	wanted := map[string]bool{}
	for _, v := range projected(pod) {
		wanted[v.Name] = true
		p.volumes = append(p.volumes, &volume{name: v.Name, source: v.Projected, tokens: map[tokenKey]token{}})
	}
	p.watch(objectsOf(pod))
	remove := p.remove
	if len(p.volumes) > 0 {
		remove = func() error { return p.removeOthers(wanted) }
	}
	if err := remove(); err != nil {
		klog.FromContext(ctx).Error(err, "Directories of volumes that the pod does not have can't be removed", "pod", klog.KObj(pod))
	}
}

// look looks at the volumes that are due, and returns when the next one is.
func (p *podKeeper) look(ctx context.Context, pod *corev1.Pod) instant {
	next := never
	for _, v := range p.volumes {
		if isDue(v.sweep, p.keeper.watch.now()) {
			v.sweep = never
			if err := p.sweep(v); err != nil {
				klog.FromContext(ctx).Error(err, "Replaced files can't be removed yet", "pod", klog.KObj(pod), "volume", v.name)
			}
		}
		if isDue(v.next, p.keeper.watch.now()) {
			p.refresh(ctx, pod, v)
		}
		now := p.keeper.watch.now()
		next = earlier(earlier(next, v.next, now), v.sweep, now)
	}
	return next
}

func (p *podKeeper) sweep(v *volume) error {
	directory, err := p.open(volumesDirectory, v.name)
	if err != nil {
		return err
	}
	return errors.Join(sweep(directory), directory.Close())
}

// end removes the directory of a pod that is gone, and reports whether that is all. Otherwise it sets when to try again.
func (p *podKeeper) end(ctx context.Context, next *instant) bool {
	p.volumes, p.kept = nil, nil
	p.watch(nil)
	if err := p.remove(); err != nil {
		p.failures++
		if p.failures == 1 {
			klog.FromContext(ctx).Error(err, "The directory of a pod that is gone can't be removed yet", "directory", p.name)
		}
		*next = p.keeper.watch.now().add(retryIn(p.failures, false, 0))
		return false
	}
	p.failures = 0
	return p.keeper.forget(p)
}

// remove removes the directory of the pod. There is none under a name that no directory could have.
func (p *podKeeper) remove() error {
	if !isDirectoryName(p.name) {
		return nil
	}
	pods, err := p.keeper.root.open(podsDirectory)
	if err != nil {
		return err
	}
	return errors.Join(pods.RemoveAll(p.name), pods.Close())
}

// open opens a directory below that of the pod.
func (p *podKeeper) open(names ...string) (directory, error) {
	if err := checkDirectoryName(p.name); err != nil {
		return directory{}, err
	}
	return p.keeper.root.openAll(append([]string{podsDirectory, p.name}, names...)...)
}

// removeOthers removes the directories of volumes that the pod does not have.
func (p *podKeeper) removeOthers(wanted map[string]bool) error {
	volumes, err := p.open(volumesDirectory)
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(volumes.FS(), ".")
	for _, entry := range entries {
		if !wanted[entry.Name()] {
			err = errors.Join(err, volumes.RemoveAll(entry.Name()))
		}
	}
	return errors.Join(err, volumes.Close())
}

// sleep waits for an instant, or until it is woken.
func (p *podKeeper) sleep(ctx context.Context, next instant) {
	var fires <-chan time.Time
	if next != never {
		timer := p.keeper.watch.clock.NewTimer(max(next.until(p.keeper.watch.now()), 0))
		defer timer.Stop()
		fires = timer.C()
	}
	select {
	case <-ctx.Done():
	case <-p.wake:
	case <-fires:
	}
}
