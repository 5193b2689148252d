package serviceaccount

import (
	"sync"
	"time"

	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	k8smetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/mintmark/mintmark/internal/collectors"
)

// metrics are kube-apiserver's counters of service account tokens, under its names.
var metrics = struct {
	legacy, stale, valid, manual, auto, invalidAuto *k8smetrics.Counter
}{
	legacy:      counter("legacy_tokens_total", "Cumulative legacy service account tokens used"),
	stale:       counter("stale_tokens_total", "Cumulative stale projected service account tokens used"),
	valid:       counter("valid_tokens_total", "Cumulative valid projected service account tokens used"),
	manual:      counter("legacy_manual_token_uses_total", "Cumulative manually created legacy tokens used"),
	auto:        counter("legacy_auto_token_uses_total", "Cumulative auto-generated legacy tokens used"),
	invalidAuto: counter("invalid_legacy_auto_token_uses_total", "Cumulative invalid auto-generated legacy tokens used"),
}

func counter(name, help string) *k8smetrics.Counter {
	return k8smetrics.NewCounter(&k8smetrics.CounterOpts{
		Subsystem: "serviceaccount", Name: name, Help: help, StabilityLevel: k8smetrics.ALPHA,
	})
}

// registerMetrics makes the counters visible; the registry is the process's.
var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(metrics.legacy, metrics.stale, metrics.valid, metrics.manual, metrics.auto, metrics.invalidAuto)
})

// cacheMetrics have the names of the metrics of kube-apiserver's token cache. Here they count service account tokens: a hit
// is a token that was verified before, and a fetch is the check of a signature.
type cacheMetrics struct {
	hit, miss         outcome
	fetched, failed   k8smetrics.CounterMetric
	inFlight, blocked k8smetrics.GaugeMetric
}

// outcome is the series of lookups with one outcome.
type outcome struct {
	total    k8smetrics.CounterMetric
	duration k8smetrics.ObserverMetric
}

func (o outcome) note(start time.Time) {
	o.total.Inc()
	o.duration.Observe(time.Since(start).Seconds())
}

// newCacheMetrics returns the metrics, of which the process has one set.
var newCacheMetrics = sync.OnceValue(func() *cacheMetrics {
	// The library registers them with its first cache, and would not do so after anybody else.
	tokencache.New(nil, false, 0, 0)
	const namespace, subsystem, status = "authentication", "token_cache", "status"
	total := collectors.Counters(&k8smetrics.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: "request_total", StabilityLevel: k8smetrics.ALPHA}, status)
	duration := collectors.Histograms(&k8smetrics.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: "request_duration_seconds", StabilityLevel: k8smetrics.ALPHA}, status)
	fetches := collectors.Counters(&k8smetrics.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: "fetch_total", StabilityLevel: k8smetrics.ALPHA}, status)
	active := collectors.Gauges(&k8smetrics.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "active_fetch_count", StabilityLevel: k8smetrics.ALPHA}, status)
	of := func(status string) outcome {
		return outcome{total: total.WithLabelValues(status), duration: duration.WithLabelValues(status)}
	}
	return &cacheMetrics{
		hit:      of("hit"),
		miss:     of("miss"),
		fetched:  fetches.WithLabelValues("ok"),
		failed:   fetches.WithLabelValues("error"),
		inFlight: active.WithLabelValues("in_flight"),
		blocked:  active.WithLabelValues("blocked"),
	}
})
