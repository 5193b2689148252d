package projectedvolume_test

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

// TestMetrics: the end of the first token, the volumes that fail, and the requests for tokens.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, begin := newAPI(), time.Now()
		before := metric(t, "mintmark_agent_token_renewals_total")
		keeper, _ := run(t, projectedvolume.Config{Client: server})
		keeper.Set(pod("p", tokenSource("token", "", 600), tokenSource("long", "", 86400)))
		keeper.Set(pod("q", configMapSource("no", false)))
		synctest.Wait()
		if got, want := metric(t, "mintmark_agent_token_expiration_timestamp_seconds"), float64(begin.Add(10*time.Minute).Unix()); got != want {
			t.Errorf("the first token ends at %v, want %v", got, want)
		}
		if got := metric(t, "mintmark_agent_failing_volumes"); got != 1 {
			t.Errorf("%v volumes fail", got)
		}
		if got := metric(t, "mintmark_agent_token_renewals_total") - before; got != 2 {
			t.Errorf("%v tokens were asked for", got)
		}
		keeper.Remove("ns", "p", "")
		keeper.Remove("ns", "q", "")
		synctest.Wait()
		if end, failing := metric(t, "mintmark_agent_token_expiration_timestamp_seconds"), metric(t, "mintmark_agent_failing_volumes"); end != 0 || failing != 0 {
			t.Errorf("without pods: the first token ends at %v, and %v volumes fail", end, failing)
		}
	})
}

// metric is the value of a metric, summed over its labels.
func metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
