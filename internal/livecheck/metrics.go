package livecheck

import (
	"sync"
	"time"

	k8smetrics "k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
	"github.com/mintmark/mintmark/internal/reason"
)

// Results of live checks.
const (
	resultConfirmed  = "Confirmed"
	resultRefused    = "Refused"
	resultDisagreed  = "Disagreed"
	resultUnanswered = "Unanswered"
	resultAccepted   = "AcceptedUnanswered"
)

// resultOf returns the result of a check that was answered.
func resultOf(err error) string {
	switch reason.Of(err) {
	case reason.None:
		return resultConfirmed
	case reason.LiveCheckRefused:
		return resultRefused
	}
	return resultDisagreed
}

// ownMetrics are the collectors of this package.
type ownMetrics struct {
	Checks *k8smetrics.CounterVec
	Calls  *k8smetrics.HistogramVec
}

// metrics registers the collectors once for the process.
var metrics = sync.OnceValue(func() *ownMetrics {
	own := collectors.Register(&ownMetrics{
		Checks: k8smetrics.NewCounterVec(&k8smetrics.CounterOpts{
			Namespace: "mintmark", Name: "live_checks_total", StabilityLevel: k8smetrics.ALPHA,
			Help: "Live checks of tokens of TrustedIssuers by result, from cached answers as well.",
		}, []string{"result"}),
		Calls: k8smetrics.NewHistogramVec(&k8smetrics.HistogramOpts{
			Namespace: "mintmark", Name: "live_check_call_duration_seconds", StabilityLevel: k8smetrics.ALPHA,
			Help:    "Duration of the calls to clusters for live checks, by whether there was an answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 3},
		}, []string{"answered"}),
	})
	for _, result := range []string{resultConfirmed, resultRefused, resultDisagreed, resultUnanswered, resultAccepted} {
		own.Checks.WithLabelValues(result)
	}
	for _, answered := range []string{"true", "false"} {
		own.Calls.WithLabelValues(answered)
	}
	return own
})

func (m *ownMetrics) count(result string) { m.Checks.WithLabelValues(result).Inc() }

func (m *ownMetrics) called(took time.Duration, err error) {
	answered := "true"
	if err != nil {
		answered = "false"
	}
	m.Calls.WithLabelValues(answered).Observe(took.Seconds())
}
