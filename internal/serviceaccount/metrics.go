package serviceaccount

import (
	"sync"
	"time"

	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	k8smetrics "k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// ownMetrics are kube-apiserver's counters of service account tokens, under its names: they are in k8s.io/kubernetes and
// not in the library.
type ownMetrics struct {
	LegacyTokens, StaleTokens, ValidTokens    *k8smetrics.Counter
	LegacyManual, LegacyAuto, InvalidatedAuto *k8smetrics.Counter
}

var metrics = ownMetrics{
	LegacyTokens:    counter("legacy_tokens_total", "Cumulative legacy service account tokens used"),
	StaleTokens:     counter("stale_tokens_total", "Cumulative stale projected service account tokens used"),
	ValidTokens:     counter("valid_tokens_total", "Cumulative valid projected service account tokens used"),
	LegacyManual:    counter("legacy_manual_token_uses_total", "Cumulative manually created legacy tokens used"),
	LegacyAuto:      counter("legacy_auto_token_uses_total", "Cumulative auto-generated legacy tokens used"),
	InvalidatedAuto: counter("invalid_legacy_auto_token_uses_total", "Cumulative invalid auto-generated legacy tokens used"),
}

func counter(name, help string) *k8smetrics.Counter {
	return k8smetrics.NewCounter(&k8smetrics.CounterOpts{
		Subsystem: "serviceaccount", Name: name, Help: help, StabilityLevel: k8smetrics.ALPHA,
	})
}

// registerMetrics makes the counters visible; the registry is the process's.
var registerMetrics = sync.OnceFunc(func() { collectors.Register(&metrics) })

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
	library := collectors.Lookup()
	total, duration := library.Counters("authentication_token_cache_request_total"), library.Histograms("authentication_token_cache_request_duration_seconds")
	fetches, active := library.Counters("authentication_token_cache_fetch_total"), library.Gauges("authentication_token_cache_active_fetch_count")
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
