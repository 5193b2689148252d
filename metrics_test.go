package mintmark_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/mintmark/mintmark/internal/collectors"
	"github.com/mintmark/mintmark/internal/testserver"
)

// metricRow is a row of the first table of docs/metrics.md.
type metricRow struct{ name, kind, labels, meaning string }

func (r metricRow) String() string {
	return fmt.Sprintf("| `%s` | %s | %s | %s |", r.name, r.kind, r.labels, r.meaning)
}

// TestMetricsDocument compares docs/metrics.md with what a server registers: every metric is in the table of Mintmark's own,
// as it is in the code, or has a prefix that the table of the libraries names.
func TestMetricsDocument(t *testing.T) {
	text, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	own, prefixes := metricTables(string(text))
	if len(own) == 0 || len(prefixes) == 0 {
		t.Fatalf("docs/metrics.md has %d metrics and %d prefixes", len(own), len(prefixes))
	}
	testserver.Start(t)
	used := map[string]bool{}
	for _, metric := range registeredMetrics(t) {
		row, listed := own[metric.name]
		prefix := longestPrefix(metric.name, prefixes)
		used[prefix] = true
		switch {
		case listed && row != metric:
			t.Errorf("docs/metrics.md has\n%s\nand the code\n%s", row, metric)
		case !listed && prefix == "":
			t.Errorf("docs/metrics.md doesn't have\n%s", metric)
		}
		delete(own, metric.name)
	}
	for name := range own {
		t.Errorf("docs/metrics.md has %s, which no server registers", name)
	}
	for _, prefix := range prefixes {
		if !used[prefix] {
			t.Errorf("docs/metrics.md has the prefix %s, which no metric has", prefix)
		}
	}
}

// TestMetricsStandTogether: a package builds its collectors in metrics.go and nowhere else.
func TestMetricsStandTogether(t *testing.T) {
	built := regexp.MustCompile(`\b(prometheus|\w*metrics)\.New(Counter|Gauge|Histogram|Summary)`)
	err := filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") ||
			filepath.Base(path) == "metrics.go" || filepath.Dir(path) == filepath.Join("internal", "collectors") {
			return err
		}
		source, err := os.ReadFile(path)
		if found := built.Find(source); found != nil {
			t.Errorf("%s calls %s: metrics are built in metrics.go and registered with collectors.Register", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// metricTables returns the rows of Mintmark's own metrics by name, and the prefixes of the libraries'.
func metricTables(text string) (own map[string]metricRow, prefixes []string) {
	own = map[string]metricRow{}
	for _, match := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\w+) \\| (.*?) \\| (.*) \\|$").FindAllStringSubmatch(text, -1) {
		own[match[1]] = metricRow{match[1], match[2], match[3], match[4]}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_]+_\\*` ?)+").FindAllString(text, -1) {
		for _, match := range regexp.MustCompile("`([a-z_]+_)\\*`").FindAllStringSubmatch(row, -1) {
			prefixes = append(prefixes, match[1])
		}
	}
	return own, prefixes
}

func longestPrefix(name string, prefixes []string) (longest string) {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	return longest
}

// describedAs is how a description is printed. Its fields can't be read in another way.
var describedAs = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "(.*)", unit: ".*", constLabels: \{.*\}, variableLabels: \{(.*)\}\}$`)

// registeredMetrics are the metrics of the process as rows.
func registeredMetrics(t *testing.T) []metricRow {
	t.Helper()
	var rows []metricRow
	registered := collectors.Lookup()
	for _, name := range slices.Sorted(maps.Keys(registered)) {
		fields := describedAs.FindStringSubmatch(registered[name].String())
		if fields == nil {
			t.Fatalf("a description can't be read: %s", registered[name])
		}
		labels := "none"
		if fields[3] != "" {
			labels = "`" + strings.ReplaceAll(fields[3], ",", "` `") + "`"
		}
		rows = append(rows, metricRow{name, kindOf(registered[name]), labels, strings.TrimPrefix(fields[2], "[ALPHA] ")})
	}
	return rows
}

// sameAs is a collector with the description of another one. To register it gets the other one in the error.
type sameAs struct{ description *prometheus.Desc }

func (s sameAs) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- s.description }
func (sameAs) Collect(chan<- prometheus.Metric)                {}

func kindOf(description *prometheus.Desc) string {
	var already prometheus.AlreadyRegisteredError
	if !errors.As(legacyregistry.Registerer().Register(sameAs{description}), &already) {
		return "collector" // with more descriptions than this one
	}
	switch already.ExistingCollector.(type) {
	case *metrics.Counter, *metrics.CounterVec:
		return "counter"
	case *metrics.Gauge, *metrics.GaugeVec, metrics.GaugeFunc:
		return "gauge"
	case *metrics.Histogram, *metrics.HistogramVec:
		return "histogram"
	default:
		return "collector"
	}
}
