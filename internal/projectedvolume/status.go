package projectedvolume

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// VolumeStatus is how a projected volume of a pod is. Times are those of this machine's clock.
type VolumeStatus struct {
	// Namespace, Pod and UID name the pod.
	Namespace, Pod string
	UID            types.UID
	// Volume is the name of the volume, and Directory where its files are.
	Volume, Directory string
	// Left says that the files are those of an earlier process: this one knows nothing of the pod yet, or has not written the volume.
	Left bool
	// Written is when the files were last found or made to be as they should, and zero if this process has still to do so.
	Written time.Time
	// GoodUntil is when the first of the tokens in the files ends. It is zero without tokens. Of files that were left it is what the
	// tokens themselves say.
	GoodUntil time.Time
	// Err is why the files are missing or not the newest, and nil if they are.
	Err error
	// Next is when the volume is looked at again. It is zero if that takes a change.
	Next time.Time
	// ClockOffset is how far this machine's clock is ahead of the server's, as the lives of the tokens tell it.
	ClockOffset time.Duration
}

// Expired reports whether a token in the files has ended.
func (s VolumeStatus) Expired(now time.Time) bool {
	return !s.GoodUntil.IsZero() && !now.Before(s.GoodUntil)
}

// volumeState is a status whose times are on both clocks.
type volumeState struct {
	VolumeStatus
	good, next instant
}

// newStates are the states of the volumes of a pod that is new.
func newStates(pod *corev1.Pod) []volumeState {
	var states []volumeState
	for _, v := range projected(pod) {
		states = append(states, volumeState{VolumeStatus: VolumeStatus{Namespace: pod.Namespace, Pod: pod.Name, UID: pod.UID, Volume: v.Name}})
	}
	return states
}

// Status tells how all volumes are, sorted by namespace, pod and volume. Those that an earlier process left are among them, until
// Retain says that their pods are gone.
func (k *Keeper) Status() []VolumeStatus {
	k.mu.Lock()
	all := k.statuses(k.watch.now())
	k.mu.Unlock()
	slices.SortFunc(all, func(a, b VolumeStatus) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Volume, b.Volume))
	})
	return all
}

// statuses is Status, unsorted. The mutex is held.
func (k *Keeper) statuses(now instant) []VolumeStatus {
	var all []VolumeStatus
	for name, p := range k.pods {
		for _, state := range p.states {
			status := state.VolumeStatus
			status.Directory = k.volumeDirectory(name, status.Volume)
			status.GoodUntil, status.Next = state.good.time(now), state.next.time(now)
			if before, ok := k.left[name][status.Volume]; ok && status.Written.IsZero() {
				status.Left, status.GoodUntil = true, before.goodUntil
			}
			all = append(all, status)
		}
	}
	for name, volumes := range k.left {
		if _, known := k.pods[name]; known {
			continue
		}
		for volume, before := range volumes {
			namespace, pod, _ := strings.Cut(name, "_")
			all = append(all, VolumeStatus{Namespace: namespace, Pod: pod, Volume: volume, Directory: k.volumeDirectory(name, volume), Left: true, GoodUntil: before.goodUntil})
		}
	}
	return all
}

func (k *Keeper) volumeDirectory(pod, volume string) string {
	return filepath.Join(k.root.path, podsDirectory, pod, volumesDirectory, volume)
}

// time is when the instant comes, on the wall clock as it is now.
func (i instant) time(now instant) time.Time {
	if i == never {
		return time.Time{}
	}
	if at := now.wall.Add(i.until(now)); i.wall.Sub(at) > time.Second {
		return at
	}
	return i.wall
}

// skewed is from which difference on the clocks of this machine and the server are worth a line in the log.
const skewed = time.Minute

// withoutDigits is what two texts of one failure have in common: ports and times are not.
func withoutDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// report tells of a look at a volume.
func (p *podKeeper) report(ctx context.Context, v *volume, now instant, written bool, err error) {
	logger := klog.FromContext(ctx).WithValues("pod", klog.KObj(p.kept), "volume", v.name)
	switch {
	case err != nil && withoutDigits(err.Error()) != v.failure:
		v.failure = withoutDigits(err.Error())
		if v.good != never {
			logger = logger.WithValues("goodUntil", v.good.time(now))
		}
		logger.Error(err, "A volume is not as it should be; the files that are there stay")
	case err == nil && v.failure != "":
		v.failure = ""
		logger.Info("A volume is as it should be again")
	}
	offset := time.Duration(0)
	for _, t := range v.tokens {
		offset = t.offset
	}
	if offset.Abs() >= skewed && p.skew.Abs() < skewed {
		logger.Info("Warning: the clocks of this machine and of the server differ, and those that check tokens here may refuse them: set the clock", "aheadOfServer", offset.Round(time.Second))
	}
	p.skew = offset
	p.keeper.mu.Lock()
	for i := range p.states {
		if state := &p.states[i]; state.Volume == v.name && state.UID == p.kept.UID {
			if written {
				state.Written = now.wall
			}
			state.good, state.next, state.Err, state.ClockOffset = v.good, v.next, err, offset
		}
	}
	p.keeper.checkWritten()
	p.keeper.measure(now)
	p.keeper.mu.Unlock()
	p.keeper.changed()
}
