package feed

import (
	"sync"

	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// feedMetrics are the collectors of this package.
type feedMetrics struct {
	Watches *metrics.Gauge
	Events  *metrics.Counter
	Refused *metrics.Counter
	CutOff  *metrics.Counter
}

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *feedMetrics {
	return collectors.Register(&feedMetrics{
		Watches: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: "mintmark", Subsystem: "token_review_events", Name: "watches", StabilityLevel: metrics.ALPHA,
			Help: "Clients that watch tokenreviewevents now.",
		}),
		Events: metrics.NewCounter(&metrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "token_review_events", Name: "total", StabilityLevel: metrics.ALPHA,
			Help: "TokenReviewEvents of this process, each counted once however many clients watch.",
		}),
		Refused: metrics.NewCounter(&metrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "token_review_events", Name: "refused_total", StabilityLevel: metrics.ALPHA,
			Help: "Watches of tokenreviewevents that were refused with 410, since the events after their resource version are not kept any more. Such a client drops all its verdicts.",
		}),
		CutOff: metrics.NewCounter(&metrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "token_review_events", Name: "cut_off_total", StabilityLevel: metrics.ALPHA,
			Help: "Watches of tokenreviewevents that were ended because the client read too slowly, or because the store is another one.",
		}),
	})
})
