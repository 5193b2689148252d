package collectors_test

import (
	"testing"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/mintmark/mintmark/internal/collectors"
)

// TestShared: what is found is what was registered, and not another of the same name.
func TestShared(t *testing.T) {
	// A collector changes its options when it is registered.
	opts := func() *metrics.CounterOpts {
		return &metrics.CounterOpts{Name: "shared_total", Help: "A counter of the library.", StabilityLevel: metrics.ALPHA}
	}
	library := metrics.NewCounterVec(opts(), []string{"status"})
	legacyregistry.MustRegister(library)
	if collectors.Counters(opts(), "status") != library {
		t.Error("another collector")
	}
}
