package signingkey

import (
	"sync"

	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// filesMetrics are the collectors of keys in files.
type filesMetrics struct {
	Failing *metrics.Gauge
	Reloads *metrics.Counter
}

// fileMetrics returns the collectors, of which the process has one set.
var fileMetrics = sync.OnceValue(func() *filesMetrics {
	return collectors.Register(&filesMetrics{
		Failing: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: "mintmark", Subsystem: "signing_key_files", Name: "failing", StabilityLevel: metrics.ALPHA,
			Help: "1 while the files of signing keys can't be used as they are, and the keys that were read before hold on; else 0.",
		}),
		Reloads: metrics.NewCounter(&metrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "signing_key_files", Name: "reloads_total", StabilityLevel: metrics.ALPHA,
			Help: "How often the files of signing keys were read anew because they had changed.",
		}),
	})
})
