package controller

import (
	"sync"

	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// controllerMetrics are the collectors of this package.
type controllerMetrics struct{ Leading *metrics.Gauge }

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *controllerMetrics {
	return collectors.Register(&controllerMetrics{
		Leading: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: "mintmark", Subsystem: "controllers", Name: "leading", StabilityLevel: metrics.ALPHA,
			Help: "1 while this replica runs the controllers, 0 while another one does or none is selected.",
		}),
	})
})

// RegisterMetrics registers the metrics of this package, which otherwise are there from when a replica runs its controllers.
func RegisterMetrics() { registered() }
