package flowcontrol

import (
	"sync"

	k8smetrics "k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// ownMetrics are the collectors of this package.
type ownMetrics struct {
	Waited, Shed *k8smetrics.Counter
	Crowded      *k8smetrics.Gauge
}

// Register registers the metrics, which are there without turns, too.
func Register() { registered() }

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *ownMetrics {
	counter := func(name, help string) *k8smetrics.Counter {
		return k8smetrics.NewCounter(&k8smetrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "flowcontrol", Name: name, StabilityLevel: k8smetrics.ALPHA, Help: help,
		})
	}
	return collectors.Register(&ownMetrics{
		Waited: counter("waited_total", "Requests that waited for their turn since there were more than the processors could answer."),
		Shed:   counter("shed_total", "Requests that waited too long for their turn. They are answered with 429, or with 401 if the caller is not known."),
		Crowded: k8smetrics.NewGauge(&k8smetrics.GaugeOpts{
			Namespace: "mintmark", Subsystem: "flowcontrol", Name: "crowded", StabilityLevel: k8smetrics.ALPHA,
			Help: "1 while requests take turns, since there are more than the processors can answer; else 0.",
		}),
	})
})
