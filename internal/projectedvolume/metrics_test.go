package projectedvolume_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

// TestMetrics: the end of the first token, the volumes that fail, and the requests for tokens.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, begin := newAPI(), time.Now()
		keeper, _ := run(t, projectedvolume.Config{Client: server})
		before := metric(t, "renewals")
		keeper.Set(pod("p", tokenSource("token", "", 600), tokenSource("long", "", 86400)))
		keeper.Set(pod("q", configMapSource("no", false)))
		synctest.Wait()
		if got, want := metric(t, "expiration"), float64(begin.Add(10*time.Minute).Unix()); got != want {
			t.Errorf("the first token ends at %v, want %v", got, want)
		}
		if got := metric(t, "failing"); got != 1 {
			t.Errorf("%v volumes fail", got)
		}
		if got := metric(t, "renewals") - before; got != 2 {
			t.Errorf("%v tokens were asked for", got)
		}
		keeper.Remove("ns", "p", "")
		keeper.Remove("ns", "q", "")
		synctest.Wait()
		if end, failing := metric(t, "expiration"), metric(t, "failing"); end != 0 || failing != 0 {
			t.Errorf("without pods: the first token ends at %v, and %v volumes fail", end, failing)
		}
	})
}

// metric is the value of a collector of the package.
func metric(t *testing.T, name string) float64 {
	t.Helper()
	values, err := projectedvolume.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	return values[name]
}
