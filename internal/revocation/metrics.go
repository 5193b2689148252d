package revocation

import (
	"sync"

	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// setMetrics are the collectors of this package.
type setMetrics struct{ Entries *metrics.Gauge }

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *setMetrics {
	return collectors.Register(&setMetrics{
		Entries: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: "mintmark", Name: "token_revocations", StabilityLevel: metrics.ALPHA,
			Help: "TokenRevocations that this process knows and refuses tokens by.",
		}),
	})
})
