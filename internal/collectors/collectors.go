// Package collectors registers the Prometheus collectors of a room, and looks up those that k8s.io/apiserver registered, so
// that the fast path and the token cache count into the same series as the library.
package collectors

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// Register registers a room's own collectors: the fields of the struct that room points to, each of them an exported
// *metrics.Counter, *metrics.GaugeVec or the like. It panics if a name is taken. docs/metrics.md lists what is registered here.
func Register[S any](room *S) *S {
	fields := reflect.ValueOf(room).Elem()
	for i := range fields.NumField() {
		legacyregistry.MustRegister(fields.Field(i).Interface().(metrics.Registerable))
	}
	return room
}

// Registered holds the descriptions of the collectors that the process has registered, by the full names of their metrics.
type Registered map[string]*prometheus.Desc

// Lookup returns what is registered now. The library registers its collectors itself and panics if another package did so
// before, so callers have it register them first.
func Lookup() Registered {
	found := Registered{}
	registry, ok := legacyregistry.Registerer().(prometheus.Collector)
	if !ok {
		return found
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		registry.Describe(descriptions)
	}()
	for description := range descriptions {
		if name, ok := nameOf(description); ok {
			found[name] = description
		}
	}
	return found
}

// nameOf reads the name of a metric out of its description, which tells it in no other way.
func nameOf(description *prometheus.Desc) (string, bool) {
	rest, ok := strings.CutPrefix(description.String(), "Desc{fqName: ")
	if !ok {
		return "", false
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "", false
	}
	name, err := strconv.Unquote(quoted)
	return name, err == nil
}

// Counters returns the library's counters of a name.
func (r Registered) Counters(name string) *metrics.CounterVec {
	return collector(r, name, metrics.NewCounterVec(&metrics.CounterOpts{Name: name}, nil))
}

// Gauges returns the library's gauges of a name.
func (r Registered) Gauges(name string) *metrics.GaugeVec {
	return collector(r, name, metrics.NewGaugeVec(&metrics.GaugeOpts{Name: name}, nil))
}

// Histograms returns the library's histograms of a name.
func (r Registered) Histograms(name string) *metrics.HistogramVec {
	return collector(r, name, metrics.NewHistogramVec(&metrics.HistogramOpts{Name: name}, nil))
}

// collector returns the collector that is registered under a name, or else instead, which is registered nowhere and
// measures nothing.
func collector[C metrics.Registerable](r Registered, name string, instead C) C {
	found, err := r.collector(name)
	if existing, ok := found.(C); ok {
		return existing
	}
	klog.Background().Error(err, "The library doesn't have this metric any more: what is done without the library is not counted in it", "metric", name, "type", fmt.Sprintf("%T", found))
	return instead
}

// collector returns the collector that is registered under a name. The registry hands it out in the error that it has for
// a second collector of the same description.
func (r Registered) collector(name string) (prometheus.Collector, error) {
	description, ok := r[name]
	if !ok {
		return nil, errors.New("no such metric is registered")
	}
	var already prometheus.AlreadyRegisteredError
	err := legacyregistry.Registerer().Register(described{description})
	if errors.As(err, &already) {
		return already.ExistingCollector, nil
	}
	return nil, err
}

// described is a collector that has a description and no metrics.
type described struct{ description *prometheus.Desc }

func (d described) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- d.description }
func (described) Collect(chan<- prometheus.Metric)                {}
