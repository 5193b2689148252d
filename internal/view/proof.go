package view

// target is a version of the whole store, and when it was current.
type target struct {
	version uint64
	at      instant
}

// maxTargets bounds how many targets a view keeps that it hasn't reached.
const maxTargets = 64

// aim notes that a version of the store was current at an instant. It reports whether the view has yet to reach it.
func (v *View[T]) aim(version uint64, at instant) (behind bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.listed() {
		return false // the list will prove it
	}
	if v.reached >= version {
		v.proveLocked(at)
		return false
	}
	if len(v.targets) == maxTargets {
		v.targets = v.targets[:maxTargets-1]
	}
	v.targets = append(v.targets, target{version, at})
	return true
}

// reach takes in that nothing is missing up to a version.
func (v *View[T]) reach(generation int, version uint64) {
	v.mu.Lock()
	if v.resets != generation {
		v.mu.Unlock()
		return
	}
	v.reached = max(v.reached, version)
	proved := 0
	for proved < len(v.targets) && v.targets[proved].version <= v.reached {
		proved++
	}
	if proved > 0 {
		v.proveLocked(v.targets[proved-1].at)
		v.targets = append(v.targets[:0], v.targets[proved:]...)
	}
	v.mu.Unlock()
	if proved > 0 {
		v.proofs()
	}
}

// prove takes in that the view was current at an instant.
func (v *View[T]) prove(generation int, at instant) {
	v.mu.Lock()
	if v.resets == generation {
		v.proveLocked(at)
	}
	v.mu.Unlock()
	v.proofs()
}

func (v *View[T]) proveLocked(at instant) {
	v.proved.Store(max(v.proved.Load(), int64(at)))
	for key, missed := range v.missed {
		if missed < at {
			delete(v.missed, key)
		}
	}
}

func (v *View[T]) provedAt() instant { return instant(v.proved.Load()) }

// join makes the view one of a set, before it is run: it shares the clock and the places for reads, and calls proofs when it
// was proved current.
func (v *View[T]) join(clock func() instant, reads *places, proofs func()) {
	v.now, v.reads, v.proofs = clock, reads, proofs
}

// listed reports whether the view has been read. The lock is held.
func (v *View[T]) listed() bool {
	select {
	case <-v.synced:
		return true
	default:
		return false
	}
}

// reset forgets everything: the store is not the one that it came from.
func (v *View[T]) reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.proved.Store(0)
	v.proofs()
	v.resets++
	v.reached, v.newest, v.targets = 0, 0, nil
	if p := v.objects.packed; p != nil {
		p.clear()
	}
	for key := range v.objects.all() {
		v.drop(key, 0)
	}
	if v.observer != nil {
		v.observer(Change[T]{Forgotten: true})
	}
	clear(v.gone)
	clear(v.missed)
	clear(v.bad)
	if v.listed() {
		v.synced = make(chan struct{})
	}
}

// generation counts how often everything was forgotten.
func (v *View[T]) generation() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.resets
}

// latest returns the latest object that was stored, as far as is known.
func (v *View[T]) latest() anchor {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.newest == 0 {
		return anchor{}
	}
	return anchor{v.source.etcdKey(v.newestKey), v.newest}
}

// note keeps the latest object. The lock is held.
func (v *View[T]) note(key Key, version uint64) {
	if version > v.newest {
		v.newestKey, v.newest = key, version
	}
}

func (v *View[T]) reachedVersion() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.reached
}
