package projectedvolume

import (
	"errors"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// volumeMetrics are the collectors of this package, in a process that keeps volumes.
type volumeMetrics struct {
	Expiration *metrics.Gauge
	Failing    *metrics.Gauge
	Renewals   *metrics.CounterVec
}

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *volumeMetrics {
	return collectors.Register(&volumeMetrics{
		Expiration: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: "mintmark", Subsystem: "agent", Name: "token_expiration_timestamp_seconds", StabilityLevel: metrics.ALPHA,
			Help: "Unix time at which the first of the tokens in the files of pods ends, 0 if there are none.",
		}),
		Failing: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: "mintmark", Subsystem: "agent", Name: "failing_volumes", StabilityLevel: metrics.ALPHA,
			Help: "Volumes whose files are missing or not the newest.",
		}),
		Renewals: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "agent", Name: "token_renewals_total", StabilityLevel: metrics.ALPHA,
			Help: "Tokens that were asked for, by result: success, refused (the server said no), unavailable (no answer, or none that decides).",
		}, []string{"result"}),
	})
})

// countRenewal counts a request for a token.
func countRenewal(err error) {
	result := "success"
	var status apierrors.APIStatus
	if err != nil {
		result = "unavailable"
		if errors.As(err, &status) && status.Status().Code >= http.StatusBadRequest && status.Status().Code < http.StatusInternalServerError && !apierrors.IsTooManyRequests(err) {
			result = "refused"
		}
	}
	registered().Renewals.WithLabelValues(result).Inc()
}

// measure sets the gauges. The keeper's mutex is held.
func (k *Keeper) measure(now instant) {
	var first time.Time
	failing := 0
	for _, status := range k.statuses(now) {
		if end := status.GoodUntil; !end.IsZero() && (first.IsZero() || end.Before(first)) {
			first = end
		}
		if status.Err != nil || status.Written.IsZero() {
			failing++
		}
	}
	seconds := 0.0
	if !first.IsZero() {
		seconds = float64(first.UnixMilli()) / 1000
	}
	registered().Expiration.Set(seconds)
	registered().Failing.Set(float64(failing))
}
