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
	revocationPage           = 2000
)

// newRevocationController makes the tokenrevocation-cleaner, which removes entries when no token that they cover can be alive. An
// entry counts as long as it is stored, so a late cleaner does no harm.
func newRevocationController(cfg Config) func(context.Context) {
	if cfg.Revocations == nil {
		return nil
	}
	queue := newLoop[string]()
	return func(ctx context.Context) {
		queue.run(ctx, func() []string { return []string{everyKey} }, cfg.sweepRevocations)
	}
}

// sweepRevocations removes the entries that have expired, and returns when to look again.
func (cfg Config) sweepRevocations(ctx context.Context, _ string) (time.Duration, error) {
	pause := revocationSweep
	var errs []error
	for options := (metav1.ListOptions{Limit: revocationPage}); ; {
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
		if options.Continue = page.Continue; options.Continue == "" {
			return max(pause, soonest), errors.Join(errs...)
		}
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
