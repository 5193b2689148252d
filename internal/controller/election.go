package controller

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/view"
)

const (
	// electionTTL is how long the lease of a replica that is gone lasts: for so long no other runs the controllers.
	electionTTL = 5 * time.Second
	// renewals is how often a lease is renewed within its time.
	renewals = 3
	// safety is the part of a lease before its end in which its holder no longer counts on it: work that is under way needs
	// time to stop.
	safety = 10
	// electionPause is the time from a failure of the store to the next attempt.
	electionPause = 500 * time.Millisecond
	// resignTimeout bounds how long a replica that stops waits for its lease to be revoked.
	resignTimeout = 2 * time.Second
)

// Election has one of the replicas that share a store lead. Each of them holds a lease in etcd and stores a key with it;
// the replica with the oldest key leads, and the next one follows when that key is gone, because its lease was revoked or
// has ended.
//
// The library's election (go.etcd.io/etcd/client/v3/concurrency) counts the time of a lease from when the answer to a
// renewal came, and notices its end up to half a second later. Here the time counts from before the renewal was sent, by
// a clock that goes on while the machine sleeps. So a leader stops before etcd can end its lease.
type Election struct {
	Client *clientv3.Client
	// Prefix is where the keys are stored.
	Prefix string
	// Name is the value of this replica's key. It tells the reader of the keys which replica it is.
	Name string
	// TTL is the time of a lease, 5 s by default.
	TTL time.Duration
	// Now is the clock: how long the machine has been running, sleep included.
	Now func() time.Duration
}

// Run calls lead whenever this replica leads, until the context ends. The context of lead ends when the replica no longer
// leads; another replica may lead only later.
func (e Election) Run(ctx context.Context, lead func(context.Context)) {
	if e.TTL == 0 {
		e.TTL = electionTTL
	}
	if e.Now == nil {
		e.Now = view.Uptime
	}
	logger := klog.FromContext(ctx)
	for ctx.Err() == nil {
		if err := e.term(ctx, lead); err != nil && ctx.Err() == nil {
			logger.V(2).Info("This replica is no candidate to run the controllers; trying again", "reason", err.Error())
		}
		select {
		case <-time.After(electionPause):
		case <-ctx.Done():
		}
	}
}

// term takes part in one election, and leads if it is won.
func (e Election) term(ctx context.Context, lead func(context.Context)) error {
	t := &term{Election: e}
	if err := t.begin(ctx); err != nil {
		return err
	}
	defer t.resign(ctx)
	held, lose := context.WithCancelCause(context.WithValue(ctx, termKey{}, t))
	defer lose(nil)
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		lose(t.renew(held))
	}()
	err := t.campaign(held)
	if err == nil {
		logger := klog.FromContext(ctx)
		logger.Info("This replica runs the controllers now", "replica", e.Name)
		lead(held)
		if ctx.Err() == nil {
			logger.Info("This replica no longer runs the controllers", "replica", e.Name, "reason", fmt.Sprint(context.Cause(held)))
		}
	}
	lose(nil)
	<-renewing
	return errors.Join(err, context.Cause(held))
}

// term is the candidacy of a replica with one lease.
type term struct {
	Election
	lease clientv3.LeaseID
	key   string
	// created is the version at which the key was stored.
	created int64
	// until is when the replica stops counting on its lease, by Now.
	until atomic.Int64
}

// termKey is the key under which the context of a leader has its term.
type termKey struct{}

// errEnded says that a lease has ended, or may end at any moment.
var errEnded = errors.New("the lease in the store was not renewed in time")

// Leading returns an error if a context is that of a leader whose lease has ended. A process that was stopped finds out
// here, before anything else tells it.
func Leading(ctx context.Context) error {
	if t, ok := ctx.Value(termKey{}).(*term); ok && t.left() <= 0 {
		return errEnded
	}
	return nil
}

// left is how long the replica may count on its lease.
func (t *term) left() time.Duration { return time.Duration(t.until.Load()) - t.Now() }

// extend takes in that etcd gave or renewed the lease for a number of seconds, when it was asked at an instant.
func (t *term) extend(asked time.Duration, seconds int64) {
	given := time.Duration(seconds) * time.Second
	t.until.Store(int64(asked + given - given/safety))
}

// begin gets a lease and stores the key.
func (t *term) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.TTL)
	defer cancel()
	asked := t.Now()
	lease, err := t.Client.Grant(ctx, int64(t.TTL/time.Second))
	if err != nil {
		return err
	}
	t.lease = lease.ID
	t.extend(asked, lease.TTL)
	t.key = path.Join(t.Prefix, fmt.Sprintf("%x", lease.ID))
	stored, err := t.Client.Put(ctx, t.key, t.Name, clientv3.WithLease(lease.ID))
	if err != nil {
		return err
	}
	t.created = stored.Header.Revision
	return nil
}

// renew keeps the lease alive until the context ends, or returns why the lease no longer counts.
func (t *term) renew(ctx context.Context) error {
	for {
		pause := t.TTL / renewals
		switch err := t.renewOnce(ctx); {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			return errEnded
		case errors.Is(err, errRemoved):
			return err
		case err != nil:
			pause /= safety
		}
		timer := time.NewTimer(min(pause, max(0, t.left())))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		if t.left() <= 0 {
			return errEnded
		}
	}
}

// errRemoved says that a replica's key is gone although its lease is there.
var errRemoved = errors.New("the key in the store was removed")

func (t *term) renewOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(t.TTL/renewals, t.left()))
	defer cancel()
	asked := t.Now()
	renewed, err := t.Client.KeepAliveOnce(ctx, t.lease)
	if err != nil {
		return err
	}
	if renewed.TTL <= 0 {
		return rpctypes.ErrLeaseNotFound
	}
	stored, err := t.Client.Get(ctx, t.key, clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	if stored.Count == 0 {
		return errRemoved
	}
	t.extend(asked, renewed.TTL)
	return nil
}

// campaign returns nil when all older keys are gone.
func (t *term) campaign(ctx context.Context) error {
	older := append(clientv3.WithLastCreate(), clientv3.WithMaxCreateRev(t.created-1))
	for {
		found, err := t.Client.Get(ctx, t.Prefix+"/", older...)
		if err != nil {
			return err
		}
		if len(found.Kvs) == 0 {
			return ctx.Err()
		}
		t.awaitEnd(ctx, string(found.Kvs[0].Key), found.Header.Revision+1)
	}
}

// awaitEnd returns when a key is deleted after a version. It also returns after a while, for another look: the watch may
// have ended, or may be broken and bring nothing.
func (t *term) awaitEnd(ctx context.Context, key string, version int64) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), t.TTL)
	defer cancel()
	for changes := range t.Client.Watch(ctx, key, clientv3.WithRev(version)) {
		for _, event := range changes.Events {
			if event.Type == mvccpb.DELETE {
				return
			}
		}
	}
	<-ctx.Done()
}

// resign ends the lease, so that another replica can lead at once.
func (t *term) resign(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignTimeout)
	defer cancel()
	_, _ = t.Client.Revoke(ctx, t.lease) // without an answer the lease ends by itself
}
