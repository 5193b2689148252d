package tokenreview

import (
	"sync"

	k8smetrics "k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
	"github.com/mintmark/mintmark/internal/reason"
)

// ownMetrics are the collectors of this package.
type ownMetrics struct{ Reviews *k8smetrics.CounterVec }

// reviews are the series of reviews by the code of the verdict. There is one for each code from the start.
var reviews = sync.OnceValue(func() *[reason.Count]k8smetrics.CounterMetric {
	own := collectors.Register(&ownMetrics{
		Reviews: k8smetrics.NewCounterVec(&k8smetrics.CounterOpts{
			Namespace: "mintmark", Name: "token_reviews_total", StabilityLevel: k8smetrics.ALPHA,
			Help: "Answers to token reviews by verdict and reason code, on all endpoints that review tokens.",
		}, []string{"verdict", "reason"}),
	})
	var series [reason.Count]k8smetrics.CounterMetric
	for _, code := range reason.All() {
		series[code] = own.Reviews.WithLabelValues(string(code.Verdict()), code.String())
	}
	return &series
})

// Count counts a review that is answered with a verdict of that reason.
func Count(code reason.Code) { reviews()[code].Inc() }
