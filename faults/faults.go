package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// beyondBound is a time after which no replica may answer from what it knew before.
const beyondBound = maxStaleness + 2*time.Second

var faults = []fault{
	{"kill-replica", killReplica},
	{"kill-member", func(ctx context.Context, f *injection) error { return killMember(ctx, f, false) }},
	{"kill-leader", func(ctx context.Context, f *injection) error { return killMember(ctx, f, true) }},
	{"pause-replica", pauseReplica},
	{"pause-leader", pauseLeader},
	{"cut", func(ctx context.Context, f *injection) error { return breakLines(ctx, f, lineCut) }},
	{"freeze", func(ctx context.Context, f *injection) error { return breakLines(ctx, f, lineFrozen) }},
	{"half-open", func(ctx context.Context, f *injection) error { return breakLines(ctx, f, lineHalfOpen) }},
	{"slow-line", slowLines},
	{"compaction", compactUnderWatch},
	{"quota", reachQuota},
	{"skew", skewClock},
	{"restore", restoreStore},
}

func faultNames() []string {
	names := make([]string, len(faults))
	for i := range faults {
		names[i] = faults[i].name
	}
	return names
}

// killReplica kills a server in the middle of its work.
func killReplica(ctx context.Context, f *injection) error {
	r := f.any(f.rnd)
	over := disturb(r)
	defer over()
	r.process.kill()
	f.middle()
	pause(ctx, time.Duration(f.rnd.IntN(3000))*time.Millisecond)
	return r.restart(ctx)
}

// killMember kills an etcd member. Two of three go on.
func killMember(ctx context.Context, f *injection, leading bool) error {
	leader, err := f.leader(ctx)
	if err != nil {
		return err
	}
	which := leader
	if !leading {
		which = (leader + 1 + f.rnd.IntN(members-1)) % members
	}
	defer disturb(f.world.replicas...)()
	f.members[which].kill()
	f.middle()
	pause(ctx, 2*time.Second)
	if err := f.members[which].start(); err != nil {
		return err
	}
	return f.settle(ctx)
}

// settle returns when the store and all servers answer.
func (f *injection) settle(ctx context.Context) error {
	if err := f.waitForStore(ctx); err != nil {
		return err
	}
	for _, r := range f.world.replicas {
		if err := r.waitUntilReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pauseReplica stops a server for longer than it may answer from memory, and lets it go on with what it knew.
func pauseReplica(ctx context.Context, f *injection) error {
	r := f.any(f.rnd)
	defer disturb(r)()
	if err := r.process.pause(); err != nil {
		return err
	}
	f.middle()
	pause(ctx, beyondBound)
	if err := r.process.resume(); err != nil {
		return err
	}
	return r.waitUntilReady(ctx)
}

// pauseLeader stops the etcd member that leads, whose connections stay open, until another one leads.
func pauseLeader(ctx context.Context, f *injection) error {
	leader, err := f.leader(ctx)
	if err != nil {
		return err
	}
	defer disturb(f.world.replicas...)()
	if err := f.members[leader].pause(); err != nil {
		return err
	}
	f.middle()
	pause(ctx, 4*time.Second)
	if err := f.members[leader].resume(); err != nil {
		return err
	}
	return f.settle(ctx)
}

// breakLines parts one server from etcd for longer than it may answer from memory.
func breakLines(ctx context.Context, f *injection, state lineState) error {
	r := f.any(f.rnd)
	defer disturb(r)()
	r.setLines(state)
	f.middle()
	pause(ctx, beyondBound)
	r.setLines(lineUp)
	return r.waitUntilReady(ctx)
}

// slowLines delays all that one server and etcd tell each other.
func slowLines(ctx context.Context, f *injection) error {
	r := f.any(f.rnd)
	defer disturb(r)()
	for _, l := range r.lines {
		l.slow(150 * time.Millisecond)
	}
	f.middle()
	pause(ctx, 3*time.Second)
	for _, l := range r.lines {
		l.slow(0)
	}
	return r.waitUntilReady(ctx)
}

// compactUnderWatch takes the history away that a cut-off server's watches have still to read.
func compactUnderWatch(ctx context.Context, f *injection) error {
	r := f.any(f.rnd)
	defer disturb(r)()
	r.setLines(lineCut)
	f.middle()
	pause(ctx, time.Second)
	if err := f.compact(ctx); err != nil {
		return err
	}
	r.setLines(lineUp)
	return r.waitUntilReady(ctx)
}

// compact forgets all but the newest revision.
func (s *site) compact(ctx context.Context) error {
	return wait(ctx, "the history is compacted", func(ctx context.Context) error {
		now, err := s.etcd.Get(ctx, "faults")
		if err != nil {
			return err
		}
		_, err = s.etcd.Compact(ctx, now.Header.Revision)
		return err
	})
}

// reachQuota fills the store until etcd refuses writes, and makes room again. Tokens are reviewed meanwhile.
func reachQuota(ctx context.Context, f *injection) error {
	defer disturb(f.world.replicas...)()
	block := strings.Repeat("x", 1<<20)
	full := false
	for i := 0; i < 2*quotaBytes>>20 && !full; i++ {
		_, err := f.etcd.Put(ctx, fmt.Sprintf("filler/%d", i), block)
		full = err != nil && strings.Contains(err.Error(), "database space exceeded")
		if err != nil && !full && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if !full {
		return errors.New("the store took more than its quota")
	}
	// A server says that it can't store: the write fails, and none is acknowledged that is not stored. The audit sees to that.
	r := f.any(f.rnd)
	if _, err := r.client.createAccount(ctx, "over-quota"); err == nil {
		f.report.violation("%s acknowledged a write that the store refuses", r.name)
	}
	if err := f.makeRoom(ctx); err != nil {
		return err
	}
	f.middle()
	return f.settle(ctx)
}

// makeRoom removes the filling, and what etcd keeps of it, and tells etcd that there is room.
func (f *injection) makeRoom(ctx context.Context) error {
	if err := wait(ctx, "the filling is removed", func(ctx context.Context) error {
		_, err := f.etcd.Delete(ctx, "filler/", clientv3.WithPrefix())
		return err
	}); err != nil {
		return err
	}
	if err := f.compact(ctx); err != nil {
		return err
	}
	for _, endpoint := range f.clients {
		if _, err := f.etcd.Defragment(ctx, endpoint); err != nil {
			return err
		}
	}
	_, err := f.etcd.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	return err
}

// restoreStore puts etcd back to an older state under running servers. What was acknowledged since is lost, as it is for
// whoever restores a backup: the servers must go by what is stored.
func restoreStore(ctx context.Context, f *injection) error {
	over := disturb(f.world.replicas...)
	defer over()
	f.still.Lock()
	saved := time.Now()
	err := f.replaceMembers(ctx, func(i int) error { return copyDir(f.memberDir(i), f.memberDir(i)+".saved") })
	f.still.Unlock()
	if err != nil {
		return err
	}
	f.middle()
	pause(ctx, 2*time.Second)

	f.still.Lock()
	defer f.still.Unlock()
	if err := f.replaceMembers(ctx, func(i int) error {
		return errors.Join(os.RemoveAll(f.memberDir(i)), os.Rename(f.memberDir(i)+".saved", f.memberDir(i)))
	}); err != nil {
		return err
	}
	f.model.rollBack(saved)
	// Until then a server may answer from what it knew before.
	pause(ctx, beyondBound)
	return f.settle(ctx)
}

// replaceMembers ends all members, does something to the data of each, and starts them again.
func (f *injection) replaceMembers(ctx context.Context, do func(i int) error) error {
	for _, m := range f.members {
		m.stop()
	}
	for i, m := range f.members {
		if err := errors.Join(do(i), m.start()); err != nil {
			return err
		}
	}
	return f.settle(ctx)
}

// copyDir copies the files of a directory.
func copyDir(from, to string) error { return os.CopyFS(to, os.DirFS(from)) }
