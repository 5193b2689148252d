package controller

import (
	"context"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/view"
)

// CertificateRequests is what the controllers of certificate signing requests work on.
type CertificateRequests struct {
	// View has the requests. It is in step with the storage before the controllers run.
	View *view.View[certificates.Record]
	// Authorizer says what the requesters may do.
	Authorizer authorizer.UnconditionalAuthorizer
	// Authority returns the authority that signs at an instant.
	Authority func(ctx context.Context, now time.Time) certificates.Authority
	// Longest is how long a certificate lives at most, and without a wish in the request.
	Longest time.Duration
	// Now is the clock of certificates; nil means that of the controllers.
	Now func() time.Time
}

// requestSettle handles a request. It is called again after the duration that it returns, if that is not 0.
type requestSettle func(ctx context.Context, csr *certificatesv1.CertificateSigningRequest) (again time.Duration, err error)

// newRequestController makes a controller whose keys are the names of requests for which concerns holds. recorded says the
// same of a record.
func newRequestController(
	cfg Config, recorded func(certificates.Record) bool, concerns func(*certificatesv1.CertificateSigningRequest) bool, settle requestSettle,
) func(context.Context) {
	if cfg.Certificates == nil {
		return nil
	}
	queue, requests := newLoop[string](cfg.Clock), cfg.Certificates.View
	requests.OnChange(func(key view.Key, obj runtime.Object) {
		if csr, ok := obj.(*certificatesv1.CertificateSigningRequest); ok && concerns(csr) {
			queue.Add(key.Name)
		}
	})
	return func(ctx context.Context) {
		queue.run(ctx, func() []string {
			var names []string
			for _, key := range requests.Keys(func(_ view.Key, record certificates.Record) bool { return recorded(record) }) {
				names = append(names, key.Name)
			}
			return names
		}, func(ctx context.Context, name string) (time.Duration, error) {
			obj, err := requests.Object(ctx, "", name)
			if err != nil {
				return 0, ignoreNotFound(err)
			}
			csr := obj.(*certificatesv1.CertificateSigningRequest)
			if !concerns(csr) || csr.DeletionTimestamp != nil {
				return 0, nil
			}
			return settle(ctx, csr)
		})
	}
}

// requestLogger is the logger for what concerns a request.
func requestLogger(ctx context.Context, csr *certificatesv1.CertificateSigningRequest) klog.Logger {
	return klog.FromContext(ctx).WithValues("request", csr.Name, "signer", csr.Spec.SignerName, "requester", csr.Spec.Username)
}
