package controller

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// RevocationStore reads and removes TokenRevocations through the API.
type RevocationStore interface {
	// List returns a page of them. Options say how long it is and where it begins.
	List(ctx context.Context, options metav1.ListOptions) (*v1alpha1.TokenRevocationList, error)
	Delete(ctx context.Context, name string, options metav1.DeleteOptions) error
}

const (
	// revocationSweep is how often the tokenrevocation-cleaner looks at all entries at least, and soonest how often at most.
	revocationSweep, soonest = time.Hour, time.Minute
	// revocationPage is how many entries are read at a time. For every page etcd counts all entries that are left.
	revocationPage = 5000
	// A sweep over many entries takes one part in sweepShare of the time of a processor, and begins anew after restShare times
	// the time that it has worked.
	sweepShare, restShare = 10, 200
)

// newRevocationController makes the tokenrevocation-cleaner, which removes entries when no token that they cover can be alive. An
// entry counts as long as it is stored, so a late cleaner does no harm.
func newRevocationController(cfg Config) func(context.Context) {
	if cfg.Revocations == nil {
		return nil
	}
	queue := newLoop[string](cfg.Clock)
	return func(ctx context.Context) {
		queue.run(ctx, func() []string { return []string{everyKey} }, cfg.sweepRevocations)
	}
}

// sweepRevocations removes the entries that have expired, and returns when to look again. It is slow on purpose: a million
// entries take a minute of CPU, and reviews need the processors.
func (cfg Config) sweepRevocations(ctx context.Context, _ string) (time.Duration, error) {
	pause, worked := revocationSweep, time.Duration(0)
	var errs []error
	for options := (metav1.ListOptions{Limit: revocationPage}); ; {
		began := time.Now()
		page, err := cfg.Revocations.List(ctx, options)
		if err != nil {
			return 0, err
		}
		for i := range page.Items {
			entry := &page.Items[i]
			if entry.Status.Expires == nil || entry.DeletionTimestamp != nil {
				continue
			}
			if left := entry.Status.Expires.Sub(cfg.Now()); left > 0 {
				pause = min(pause, left)
				continue
			}
			errs = append(errs, cfg.removeRevocation(ctx, entry))
		}
		took := time.Since(began)
		worked += took
		if options.Continue = page.Continue; options.Continue == "" {
			return max(pause, soonest, restShare*worked), errors.Join(errs...)
		}
		if err := rest(ctx, (sweepShare-1)*took); err != nil {
			return 0, err
		}
	}
}

// rest waits, unless the context ends.
func rest(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (cfg Config) removeRevocation(ctx context.Context, entry *v1alpha1.TokenRevocation) error {
	if err := Leading(ctx); err != nil {
		return err
	}
	if err := cfg.Revocations.Delete(ctx, entry.Name, unchanged(entry)); err != nil {
		return ignoreNotFound(err)
	}
	klog.FromContext(ctx).V(2).Info("Removed a revocation, since the tokens that it covers have ended", "revocation", entry.Name)
	return nil
}
