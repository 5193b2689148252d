// Package collectors finds the Prometheus collectors that k8s.io/apiserver has registered, so that what it would count if
// it did the work is counted in the same place, under the same names, when it doesn't.
package collectors

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// Counters returns the library's counters that are called so. They must have been registered by then: the library insists
// on doing that itself.
func Counters(opts *metrics.CounterOpts, labels ...string) *metrics.CounterVec {
	return registered(metrics.NewCounterVec(opts, labels))
}

// Histograms returns the library's histograms that are called so.
func Histograms(opts *metrics.HistogramOpts, labels ...string) *metrics.HistogramVec {
	return registered(metrics.NewHistogramVec(opts, labels))
}

// Gauges returns the library's gauges that are called so.
func Gauges(opts *metrics.GaugeOpts, labels ...string) *metrics.GaugeVec {
	return registered(metrics.NewGaugeVec(opts, labels))
}

// registered returns the collector that was registered under the name of this one.
func registered[C metrics.Registerable](like C) C {
	var already prometheus.AlreadyRegisteredError
	err := legacyregistry.Register(like)
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	klog.Background().Error(err, "The library doesn't have this metric any more: what is done without the library is not counted in it", "metric", like.FQName())
	return like
}
