package collectors_test

import (
	"testing"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/mintmark/mintmark/internal/collectors"
)

// TestLookup finds the collectors that were registered, which count, and not others of the same names.
func TestLookup(t *testing.T) {
	counter := metrics.NewCounterVec(&metrics.CounterOpts{Subsystem: "shared", Name: "total", Help: `A "counter" of the library.`}, []string{"status"})
	gauge := metrics.NewGaugeVec(&metrics.GaugeOpts{Name: "shared_gauge", StabilityLevel: metrics.STABLE}, []string{"status", "code"})
	histogram := metrics.NewHistogramVec(&metrics.HistogramOpts{Name: "shared_seconds", Help: "A histogram."}, nil)
	legacyregistry.MustRegister(counter, gauge, histogram)
	registered := collectors.Lookup()
	if registered.Counters("shared_total") != counter {
		t.Error("another counter")
	}
	if registered.Gauges("shared_gauge") != gauge {
		t.Error("another gauge")
	}
	if registered.Histograms("shared_seconds") != histogram {
		t.Error("another histogram")
	}
}

// TestLookupOfNone: a metric that is not registered, or is of another type, is counted nowhere, whatever its labels are.
func TestLookupOfNone(t *testing.T) {
	gauge := metrics.NewGaugeVec(&metrics.GaugeOpts{Name: "only_gauge"}, []string{"status"})
	legacyregistry.MustRegister(gauge)
	registered := collectors.Lookup()
	for _, name := range []string{"no_such_total", "only_gauge"} {
		registered.Counters(name).WithLabelValues("a", "b").Inc()
		registered.Histograms(name).WithLabelValues("a", "b").Observe(1)
	}
	registered.Gauges("no_such_total").WithLabelValues().Inc()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if name := family.GetName(); name == "no_such_total" || name == "only_gauge" {
			t.Errorf("%s is there: %s", name, family)
		}
	}
}

// TestRegister registers all fields of a struct.
func TestRegister(t *testing.T) {
	type room struct {
		Requests *metrics.CounterVec
		Size     *metrics.Gauge
	}
	own := collectors.Register(&room{
		Requests: metrics.NewCounterVec(&metrics.CounterOpts{Name: "room_requests_total"}, []string{"outcome"}),
		Size:     metrics.NewGauge(&metrics.GaugeOpts{Name: "room_size"}),
	})
	own.Size.Set(3)
	registered := collectors.Lookup()
	if registered.Counters("room_requests_total") != own.Requests || registered["room_size"] == nil {
		t.Error("not registered")
	}
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "room_size" && family.GetMetric()[0].GetGauge().GetValue() == 3 {
			return
		}
	}
	t.Error("the gauge is not there")
}
