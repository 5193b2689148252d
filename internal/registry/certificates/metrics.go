package certificates

import (
	"context"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/util/cert"
	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/collectors"
)

// durationMetrics are the collectors of this package, named as kube-apiserver's.
type durationMetrics struct{ Requested, Honored *metrics.CounterVec }

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *durationMetrics {
	counter := func(name, what string) *metrics.CounterVec {
		return metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "apiserver", Subsystem: "certificates_registry", Name: name, StabilityLevel: metrics.ALPHA,
			Help: "Total number of issued CSRs with a requested duration" + what + ", sliced by signer (only kubernetes.io signer names are specifically identified)",
		}, []string{"signerName"})
	}
	return collectors.Register(&durationMetrics{
		Requested: counter("csr_requested_duration_total", ""),
		Honored:   counter("csr_honored_duration_total", " that was honored"),
	})
})

// count counts a certificate when it is stored, if a duration was asked for.
func (m *durationMetrics) count(_ context.Context, obj, old runtime.Object, options *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
	csr, before := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	return func(_ context.Context, stored bool) {
		wish := csr.Spec.ExpirationSeconds
		if !stored || dryrun.IsDryRun(options.DryRun) || wish == nil || len(before.Status.Certificate) > 0 {
			return
		}
		issued, err := cert.ParseCertsPEM(csr.Status.Certificate)
		if err != nil {
			return
		}
		signer := signerLabel(csr.Spec.SignerName)
		m.Requested.WithLabelValues(signer).Inc()
		if isHonored(time.Duration(*wish)*time.Second, issued[0].NotAfter.Sub(issued[0].NotBefore)) {
			m.Honored.WithLabelValues(signer).Inc()
		}
	}, nil
}

// signerLabel returns the name of one of Kubernetes' signers. All others, which callers make up, share a label.
func signerLabel(signer string) string {
	switch signer {
	case certificatesv1.KubeAPIServerClientSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName,
		certificatesv1.KubeletServingSignerName, certificates.LegacySigner:
		return signer
	}
	return "other"
}

// isHonored reports whether a certificate is valid for about as long as was asked for. Signers let the validity begin a few minutes
// ago.
func isHonored(wish, validity time.Duration) bool {
	return (wish - validity).Abs() < certificates.Backdate+wish/20
}
