package registry_test

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/mintmark/mintmark/internal/testserver"
)

// Of two of client-go's contenders for a lease one leads at a time, and the other one takes over when it gives up.
func TestLeaderElectionOfClientGo(t *testing.T) {
	t.Parallel()
	client := testserver.Start(t, "--controllers=").Admin()
	leads := make(chan string, 2)
	contend := func(name string) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta: metav1.ObjectMeta{Namespace: "default", Name: "leader"}, Client: client.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: name},
			},
			LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 50 * time.Millisecond, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads <- name }, OnStoppedLeading: func() {}},
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() { elector.Run(ctx); close(done) }()
		t.Cleanup(cancel)
		return func() { cancel(); <-done }
	}
	stop := contend("one")
	if leader := <-leads; leader != "one" {
		t.Fatalf("%s leads", leader)
	}
	contend("two")
	select {
	case leader := <-leads:
		t.Fatalf("%s leads as well", leader)
	default:
	}
	stop()
	if leader := <-leads; leader != "two" {
		t.Fatalf("%s leads", leader)
	}
	lease, err := client.CoordinationV1().Leases("default").Get(t.Context(), "leader", metav1.GetOptions{})
	if err != nil || *lease.Spec.HolderIdentity != "two" || *lease.Spec.LeaseTransitions != 1 {
		t.Errorf("the lease is %+v, %v", lease.Spec, err)
	}
}
