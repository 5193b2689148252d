package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// example is a report of one scenario over one protocol, with a peer that could not be asked.
func example() *report {
	sc := scenarios()[0]
	floor := round{requests: 3000, rate: 2000, cpu: 20 * time.Microsecond, p50: 300 * time.Microsecond, p99: time.Millisecond, others: 0.04}
	one := round{requests: 1500, rate: 1000, cpu: 50 * time.Microsecond, p50: 1234 * time.Microsecond, p99: 5 * time.Millisecond}
	one.others = 0.04
	two := one
	two.cpu = 70 * time.Microsecond
	return &report{
		Machine: machine{CPU: "a CPU", Processors: 2, Memory: 8e9, Kernel: "Linux 6.1"},
		Program: program{Go: "go1.26.0", Revision: "0123456789abcdef", Modified: true},
		Date:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Results: []result{
			{scenario: sc, protocol: http1, server: floorName, rounds: []round{floor.against(floor), floor.against(floor)}, resident: 20e6},
			{scenario: sc, protocol: http1, server: serverName, rounds: []round{one.against(floor), two.against(floor)}, resident: 100e6},
			{scenario: sc, protocol: http1, server: "another", impossible: "no reason"},
		},
		prices: prices{verifications: []time.Duration{90e3, 60e3, 50e3}, signatures: []time.Duration{30e3}},
		plan:   plan{rounds: 2, window: time.Second, workers: 16},
		run:    "Warm",
		flags:  []string{"--fast-path=false"},
		peer:   "another",
	}
}

func TestTable(t *testing.T) {
	const want = `| scenario     | HTTP | server   |             CPU µs | floor µs | ratio | over floor µs | requests/s | p50 ms | p99 ms | resident MB |
|--------------|------|----------|-------------------:|---------:|------:|--------------:|-----------:|-------:|-------:|------------:|
| review, warm | 1.1  | mintmark |                 60 |       20 |   3.0 |            40 |       1000 |   1.23 |   5.00 |         100 |
| review, warm | 1.1  | another  | not run: no reason |          |       |               |            |        |        |             |
`
	if diff := cmp.Diff(want, example().Table()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestBenchstat(t *testing.T) {
	got := benchstat(example())
	_, got, _ = strings.Cut(got, "cpu: ")
	const want = `a CPU
Unit req/s better=higher
BenchmarkReviewWarm/http=1.1/server=floor-2 3000 20000 cpu-ns/req 1.000 ratio 2000.0 req/s 300000 p50-ns 1000000 p99-ns
BenchmarkReviewWarm/http=1.1/server=floor-2 3000 20000 cpu-ns/req 1.000 ratio 2000.0 req/s 300000 p50-ns 1000000 p99-ns
BenchmarkReviewWarm/http=1.1/server=mintmark-2 1500 50000 cpu-ns/req 2.500 ratio 1000.0 req/s 1234000 p50-ns 5000000 p99-ns
BenchmarkReviewWarm/http=1.1/server=mintmark-2 1500 70000 cpu-ns/req 3.500 ratio 1000.0 req/s 1234000 p50-ns 5000000 p99-ns
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDocument(t *testing.T) {
	r := example()
	got, err := r.document()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		r.Table(),
		"* On this machine one ES256 verification takes crypto/ecdsa 60 µs of CPU, and one ES256 signature 30 µs.\n",
		"* The floor itself, over HTTP/1.1 (review, warm): 20 µs of CPU, 2000 requests/s, p50 0.30 ms, p99 1.00 ms, 20 MB resident.\n",
		"* 2026-01-02: revision 0123456789ab with changes, built with go1.26.0.\n",
		"* a CPU, 2 processors, 8 GB of memory, Linux 6.1.\n",
		"* 2 rounds of 1s for each server, 16 requests at once.\n",
		"* Other programs took 4 % of the processors meanwhile (median of all windows).\n",
		"* Not everything: only what `--run 'Warm'` selects.\n",
		"* The server had further flags: `--fast-path=false`.\n",
		"* \"another\" is another server",
		"(`ReviewForged`)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("not in the document: %s", want)
		}
	}
}

// TestDisturbed has a run on a machine with something else to do.
func TestDisturbed(t *testing.T) {
	const warning = "* **Other programs took 30 % of the processors meanwhile**"
	r := example()
	if strings.Contains(r.Under(), "**") {
		t.Error("a warning without a reason")
	}
	for _, one := range r.Results {
		for i := range one.rounds {
			one.rounds[i].others = 0.3
		}
	}
	if under := r.Under(); !strings.Contains(under, warning) {
		t.Errorf("no warning in %s", under)
	}
}
