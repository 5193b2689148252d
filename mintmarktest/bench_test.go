package mintmarktest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/mintmark/mintmark/mintmarktest"
)

// BenchmarkStart measures how long it takes until a server is ready:
// go test -run '^$' -bench Start -benchtime 100x ./mintmarktest.
func BenchmarkStart(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		inTest(func(t testing.TB) {
			began := time.Now()
			mintmarktest.Start(t)
			took = append(took, time.Since(began))
		})
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-max")
}
