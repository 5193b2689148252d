package serviceaccount

import (
	"sync"

	k8smetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
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
