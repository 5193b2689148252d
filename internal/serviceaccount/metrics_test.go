package serviceaccount_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/component-base/metrics/legacyregistry"
)

// TestCacheMetrics counts what is looked up, and what of it has its signature checked.
func TestCacheMetrics(t *testing.T) {
	s := newServer(t)
	good, other := issued(goodClaims()), issued(goodClaims(member{"jti", `"9b4b"`}))
	forged := good[:strings.LastIndex(good, ".")+1] + other[strings.LastIndex(other, ".")+1:]
	stranger := strings.Replace(goodClaims(), issuer, "https://elsewhere.example", 1)
	for _, step := range []struct {
		name, token string
		want        map[string]float64
	}{
		{"at first", good, map[string]float64{"request_total miss": 1, "request_duration_seconds miss": 1, "fetch_total ok": 1}},
		{"again", good, map[string]float64{"request_total hit": 1, "request_duration_seconds hit": 1}},
		{"forged", forged, map[string]float64{"request_total miss": 1, "request_duration_seconds miss": 1, "fetch_total error": 1}},
		{"forged, again", forged, map[string]float64{"request_total miss": 1, "request_duration_seconds miss": 1, "fetch_total error": 1}},
		{"another issuer's", issued(stranger), map[string]float64{}},
		{"none", "x", map[string]float64{}},
	} {
		before := lookups(t)
		s.review(step.token)
		grown := map[string]float64{}
		for name, value := range lookups(t) {
			if value != before[name] {
				grown[name] = value - before[name]
			}
		}
		if diff := cmp.Diff(step.want, grown); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", step.name, diff)
		}
	}
}

// lookups are the metrics of what was looked up, without those of what is going on.
func lookups(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		name, ok := strings.CutPrefix(family.GetName(), "authentication_token_cache_")
		if !ok {
			continue
		}
		for _, metric := range family.GetMetric() {
			series := name + " " + metric.GetLabel()[0].GetValue()
			switch {
			case metric.GetGauge().GetValue() != 0:
				t.Errorf("%s is %v while nothing is looked up", series, metric.GetGauge().GetValue())
			case metric.GetHistogram() != nil:
				values[series] = float64(metric.GetHistogram().GetSampleCount())
			case metric.GetCounter() != nil:
				values[series] = metric.GetCounter().GetValue()
			}
		}
	}
	return values
}
