package view

import (
	"sync"

	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// viewMetrics are the collectors of this package.
type viewMetrics struct{ Age, Unreadable *metrics.GaugeVec }

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *viewMetrics {
	return collectors.Register(&viewMetrics{
		Age: metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace: "mintmark", Subsystem: "view", Name: "age_seconds", StabilityLevel: metrics.ALPHA,
			Help: "How long ago the view of a resource was last proved to hold everything that is stored. It is measured about every second.",
		}, []string{"resource"}),
		Unreadable: metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace: "mintmark", Subsystem: "view", Name: "unreadable_objects", StabilityLevel: metrics.ALPHA,
			Help: "Stored objects of a resource that can't be decrypted or decoded and are left out. The log names their keys.",
		}, []string{"resource"}),
	})
})

// measure sets the gauges.
func (s *Set) measure() {
	m, now := registered(), s.now()
	for _, v := range s.views {
		name := v.Resource().String()
		m.Unreadable.WithLabelValues(name).Set(float64(len(v.Unreadable())))
		if at := v.provedAt(); at != 0 {
			m.Age.WithLabelValues(name).Set(now.since(at).Seconds())
		}
	}
}
