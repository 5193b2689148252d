package signingkey

import (
	"sync"

	k8smetrics "k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// filesMetrics are the collectors of keys in files.
type filesMetrics struct {
	Failing *k8smetrics.Gauge
	Reloads *k8smetrics.Counter
}

// fileMetrics returns the collectors, of which the process has one set.
var fileMetrics = sync.OnceValue(func() *filesMetrics {
	return collectors.Register(&filesMetrics{
		Failing: k8smetrics.NewGauge(&k8smetrics.GaugeOpts{
			Namespace: "mintmark", Subsystem: "signing_key_files", Name: "failing", StabilityLevel: k8smetrics.ALPHA,
			Help: "1 while the files of signing keys can't be used as they are, and the keys that were read before hold on; else 0.",
		}),
		Reloads: k8smetrics.NewCounter(&k8smetrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "signing_key_files", Name: "reloads_total", StabilityLevel: k8smetrics.ALPHA,
			Help: "How often the files of signing keys were read anew because they had changed.",
		}),
	})
})
