package controller_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/view"
)

// ttl is the time of a lease in these tests: so long that a busy machine renews it in time.
const ttl = 3 * time.Second

// candidate is a replica, with a connection to etcd of its own.
type candidate struct {
	*clientv3.Client
	controller.Election
	// led has the context of each time that it leads.
	led chan context.Context
	// lost has the instants, by view.Uptime, at which it no longer led.
	lost chan time.Duration
	// leading counts the candidates that lead.
	leading *atomic.Int32
}

// newCandidates returns candidates for one election.
func newCandidates(t *testing.T, names ...string) []*candidate {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	var candidates []*candidate
	leading := &atomic.Int32{}
	for _, name := range names {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{member.Endpoint()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		candidates = append(candidates, &candidate{
			Client: client, led: make(chan context.Context, 10), lost: make(chan time.Duration, 10), leading: leading,
			Election: controller.Election{Client: client, Prefix: "/election", Name: name, TTL: ttl},
		})
	}
	return candidates
}

// run has a candidate take part until the test, or what stop returns, ends that.
func (c *candidate) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx, func(ctx context.Context) {
			if c.leading.Add(1) > 1 {
				t.Error("two replicas lead at the same time")
			}
			c.led <- ctx
			<-ctx.Done()
			c.leading.Add(-1)
			c.lost <- view.Uptime()
		})
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// awaited returns what a channel brings within a time.
func awaited[V any](t *testing.T, what string, from <-chan V, within time.Duration) V {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(within):
		t.Fatalf("%s: not within %s", what, within)
	}
	panic("unreachable")
}

// busy is how much longer than planned things may take on a busy machine.
const busy = 20 * time.Second

// TestElection: one candidate leads. When it stops the next one leads at once.
func TestElection(t *testing.T) {
	t.Parallel()
	candidates := newCandidates(t, "one", "two")
	one, two := candidates[0], candidates[1]
	stop := one.run(t)
	ctx := awaited(t, "the first candidate leads", one.led, busy)
	stopTwo := two.run(t)
	select {
	case <-two.led:
		t.Fatal("the second candidate leads, too")
	case <-time.After(ttl + time.Second):
	}
	if err := controller.Leading(ctx); err != nil {
		t.Errorf("the lease of the leader was not renewed: %v", err)
	}
	begun := time.Now()
	stop()
	awaited(t, "the second candidate leads", two.led, busy)
	t.Logf("handed over after %s", time.Since(begun))

	stop = one.run(t)
	defer stop()
	stopTwo()
	awaited(t, "the first candidate leads again", one.led, busy)
}

// deaf is a lease client of a replica that is cut off.
type deaf struct {
	clientv3.Lease
	cut *atomic.Bool
}

func (d deaf) KeepAliveOnce(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseKeepAliveResponse, error) {
	if d.cut.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.Lease.KeepAliveOnce(ctx, id)
}

func (d deaf) Revoke(ctx context.Context, id clientv3.LeaseID) (*clientv3.LeaseRevokeResponse, error) {
	if d.cut.Load() {
		return nil, context.DeadlineExceeded
	}
	return d.Lease.Revoke(ctx, id)
}

// TestCutOffLeader: a leader whose renewals don't get through stops before another one starts, and leads again later.
func TestCutOffLeader(t *testing.T) {
	t.Parallel()
	candidates := newCandidates(t, "one", "two")
	one, two := candidates[0], candidates[1]
	var cut atomic.Bool
	one.Client.Lease = deaf{one.Client.Lease, &cut}
	one.run(t)
	awaited(t, "the first candidate leads", one.led, busy)
	stopTwo := two.run(t)
	cut.Store(true)
	begun := time.Now()
	awaited(t, "the second candidate leads", two.led, busy)
	t.Logf("taken over after %s", time.Since(begun))
	if len(one.lost) == 0 {
		t.Error("the first candidate still leads")
	}
	cut.Store(false)
	stopTwo()
	awaited(t, "the first candidate leads again", one.led, busy)
}

// TestPausedLeader: a process that was stopped for longer than its lease knows that before it does anything else.
func TestPausedLeader(t *testing.T) {
	t.Parallel()
	one := newCandidates(t, "one")[0]
	var paused atomic.Int64
	one.Now = func() time.Duration { return view.Uptime() + time.Duration(paused.Load()) }
	one.run(t)
	ctx := awaited(t, "the candidate leads", one.led, busy)
	if err := controller.Leading(ctx); err != nil {
		t.Fatal(err)
	}
	paused.Store(int64(time.Hour))
	if controller.Leading(ctx) == nil {
		t.Error("the candidate may still lead after an hour in which it was stopped")
	}
	awaited(t, "the candidate no longer leads", one.lost, busy)
	if err := controller.Leading(awaited(t, "the candidate leads again", one.led, busy)); err != nil {
		t.Error(err)
	}
}

// TestRemovedKey: a leader whose key is gone, as after an older state of etcd was restored, doesn't lead any more.
func TestRemovedKey(t *testing.T) {
	t.Parallel()
	one := newCandidates(t, "one")[0]
	one.run(t)
	awaited(t, "the candidate leads", one.led, busy)
	if _, err := one.Delete(t.Context(), "/election/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	awaited(t, "the candidate no longer leads", one.lost, busy)
	awaited(t, "the candidate leads again", one.led, busy)
}

// TestNoLeadElsewhere: a context that is no leader's has no lease to lose.
func TestNoLeadElsewhere(t *testing.T) {
	t.Parallel()
	if err := controller.Leading(t.Context()); err != nil {
		t.Error(err)
	}
}
