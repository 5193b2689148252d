package etcd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"k8s.io/klog/v2"
)

const (
	// quotaCheck is how often the size of the store is looked at.
	quotaCheck = 10 * time.Second
	// A store that is fuller than nearlyFull percent of its quota is told in the log. One that is full takes writes again
	// when it is less full than that.
	nearlyFull = 90
	// makeRoomEvery is how often room is made in a full store: meanwhile it answers nothing.
	makeRoomEvery = time.Minute
)

// quota watches the size of a store. At its quota etcd refuses writes until it is told that there is room again.
type quota struct {
	server *etcdserver.EtcdServer
	bytes  int64
	full   atomic.Bool
	// mu is held while the size is looked at.
	mu     sync.Mutex
	warned bool
	// tried is when room was made last.
	tried time.Time
}

func newQuota(server *etcdserver.EtcdServer, bytes int64) *quota {
	return &quota{server: server, bytes: bytes}
}

// watch looks at the size until the context ends.
func (q *quota) watch(ctx context.Context) {
	select {
	case <-q.server.ReadyNotify():
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(quotaCheck)
	defer tick.Stop()
	for {
		q.check(ctx, time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// check makes room in a store that is full, and says what to do if that does not help.
func (q *quota) check(ctx context.Context, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	log := klog.FromContext(ctx)
	if !q.alarmed() {
		q.full.Store(false)
		q.prevent(log, now)
		return
	}
	if now.Sub(q.tried) < makeRoomEvery {
		return
	}
	first := !q.full.Swap(true)
	q.tried = now
	err := q.makeRoom(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Error(err, "The embedded store is full, and no room could be made in it: it takes no writes but deletions. Restart the server")
	case !q.alarmed():
		q.full.Store(false)
		log.Info("The embedded store was full. It was compacted and defragmented, and takes writes again", "size", q.server.Backend().Size(), "quota", q.bytes)
	case first:
		log.Error(nil, "The embedded store is full, so it takes no writes but deletions. Delete objects that are not needed, such as old token secrets; it then takes writes again by itself. "+
			"Where all are needed, move to an etcd of your own with --etcd-servers", "inUse", q.server.Backend().SizeInUse(), "quota", q.bytes)
	}
}

// prevent keeps a store from getting full if its file holds much that is not in use, and otherwise warns once.
func (q *quota) prevent(log klog.Logger, now time.Time) {
	backend := q.server.Backend()
	switch {
	case q.over(nearlyFull, backend.SizeInUse()):
		if !q.warned {
			log.Error(nil, "The embedded store is nearly full. Delete objects that are not needed, such as old token secrets, or move to an etcd of your own with --etcd-servers",
				"inUse", backend.SizeInUse(), "quota", q.bytes)
		}
		q.warned = true
	case q.over(nearlyFull, backend.Size()) && now.Sub(q.tried) >= makeRoomEvery:
		q.tried = now
		if err := q.server.Defragment(); err != nil {
			log.Error(err, "The embedded store is nearly full and could not be defragmented; is there room on the disk?")
		}
	default:
		q.warned = false
	}
}

// alarmed reports whether etcd refuses writes.
func (q *quota) alarmed() bool {
	for _, alarm := range q.server.Alarms() {
		if alarm.GetAlarm() == pb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

func (q *quota) over(percent, size int64) bool { return size > q.bytes/100*percent }

// makeRoom drops the history of objects, gives the room back to the file system and, if that was enough, lets writes in.
func (q *quota) makeRoom(ctx context.Context) error {
	if _, err := q.server.Compact(ctx, &pb.CompactionRequest{Revision: q.server.KV().Rev(), Physical: true}); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).V(2).Info("The history of the store was not compacted", "reason", err.Error()) // it may have been already
	}
	if err := q.server.Defragment(); err != nil {
		return fmt.Errorf("defragmenting the store: %w", err)
	}
	if q.over(nearlyFull, q.server.Backend().Size()) {
		return nil
	}
	_, err := q.server.Alarm(ctx, &pb.AlarmRequest{MemberID: uint64(q.server.MemberID()), Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_NOSPACE})
	return err
}

// HasRoom fails while the store is full.
func (m *Member) HasRoom() error {
	if m.quota.full.Load() {
		return fmt.Errorf("the embedded store has reached its quota of %d bytes and takes no writes but deletions: delete objects that are not needed, or move to an etcd of your own with --etcd-servers", m.quota.bytes)
	}
	return nil
}
