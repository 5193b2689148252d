package controller

import (
	"context"
	"errors"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/view"
)

// requestSweep is how often the requests are looked through, as kube-controller-manager does.
const requestSweep = time.Hour

// newRequestCleaner makes the certificatesigningrequest-cleaner-controller, which removes requests that are done and those that
// waited too long. The only key stands for all requests.
func newRequestCleaner(cfg Config) func(context.Context) {
	if cfg.Certificates == nil {
		return nil
	}
	return func(ctx context.Context) {
		newLoop[string](cfg.Clock).run(ctx, func() []string { return []string{everyKey} }, func(ctx context.Context, _ string) (time.Duration, error) {
			return requestSweep, cfg.sweepRequests(ctx)
		})
	}
}

func (cfg Config) sweepRequests(ctx context.Context) error {
	now := cfg.Now()
	removable := func(end time.Time) bool { return !end.IsZero() && now.After(end) }
	var errs []error
	for _, key := range cfg.Certificates.View.Keys(func(_ view.Key, record certificates.Record) bool { return removable(record.Removable) }) {
		obj, err := cfg.Certificates.View.Object(ctx, "", key.Name)
		if err != nil {
			errs = append(errs, ignoreNotFound(err))
			continue
		}
		csr := obj.(*certificatesv1.CertificateSigningRequest)
		if csr.DeletionTimestamp != nil || !removable(certificates.End(csr)) {
			continue
		}
		if err := cfg.Client.CertificatesV1().CertificateSigningRequests().Delete(ctx, csr.Name, unchanged(csr)); err != nil {
			errs = append(errs, ignoreNotFound(err))
			continue
		}
		klog.FromContext(ctx).V(2).Info("Removed a certificate signing request", "request", csr.Name)
	}
	return errors.Join(errs...)
}
