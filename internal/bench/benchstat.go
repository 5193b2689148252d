package main

import (
	"fmt"
	"runtime"
	"strings"
)

// benchstat writes the results in the format of Go benchmarks, one line for each round:
// https://go.dev/design/14313-benchmark-format. Results without a measurement have no line.
func benchstat(r *report) string {
	var out strings.Builder
	fmt.Fprintf(&out, "goos: %s\ngoarch: %s\npkg: github.com/mintmark/mintmark/internal/bench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, r.Machine.CPU)
	out.WriteString("Unit req/s better=higher\n")
	for _, one := range r.Results {
		for _, round := range one.rounds {
			fmt.Fprintf(&out, "Benchmark%s/http=%s/server=%s-%d %d %d cpu-ns/req %.3f ratio %.1f req/s %d p50-ns %d p99-ns\n",
				one.scenario.id, one.protocol, one.server, r.Machine.Processors, round.requests,
				round.cpu.Nanoseconds(), round.ratio, round.rate, round.p50.Nanoseconds(), round.p99.Nanoseconds())
		}
	}
	return out.String()
}
