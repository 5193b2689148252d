package projectedvolume

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
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
	// Written is when the files were last found or made to be as they should, and zero if that is still to come.
	Written time.Time
	// GoodUntil is when the first of the tokens in the files ends. It is zero without tokens, or if nothing is written yet.
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

// Status tells how all volumes are, sorted by namespace, pod and volume.
func (k *Keeper) Status() []VolumeStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.watch.now()
	var all []VolumeStatus
	for name, p := range k.pods {
		for _, state := range p.states {
			status := state.VolumeStatus
			status.Directory = filepath.Join(k.root.path, podsDirectory, name, volumesDirectory, status.Volume)
			status.GoodUntil, status.Next = state.good.time(now), state.next.time(now)
			all = append(all, status)
		}
	}
	slices.SortFunc(all, func(a, b VolumeStatus) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Volume, b.Volume))
	})
	return all
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

// report tells of a look at a volume.
func (p *podKeeper) report(ctx context.Context, v *volume, now instant, written bool, err error) {
	logger := klog.FromContext(ctx).WithValues("pod", klog.KObj(p.kept), "volume", v.name)
	switch {
	case err != nil && err.Error() != v.failure:
		v.failure = err.Error()
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
