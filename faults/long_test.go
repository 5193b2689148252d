package main

import (
	"strings"
	"testing"
)

// TestGrowth has a server use more of one thing in the last part of a run than in the one before it. The first parts don't
// count: a server that has just started fills its caches.
func TestGrowth(t *testing.T) {
	steady := usage{residentMB: 200, goroutines: 400, descriptors: 80}
	for name, test := range map[string]struct {
		last usage
		want string
	}{
		"steady":      {usage{residentMB: 210, goroutines: 420, descriptors: 85}, ""},
		"memory":      {usage{residentMB: 240, goroutines: 400, descriptors: 80}, "240 MB of memory, and 200 before"},
		"goroutines":  {usage{residentMB: 200, goroutines: 500, descriptors: 80}, "500 goroutines, and 400 before"},
		"descriptors": {usage{residentMB: 200, goroutines: 400, descriptors: 120}, "120 file descriptors, and 80 before"},
	} {
		t.Run(name, func(t *testing.T) {
			report := newReport(1, t.Output())
			l := &longRun{world: &world{report: report, replicas: []*replica{{name: "replica-0"}}}}
			for i := range 9 {
				l.parts[0] = append(l.parts[0], usage{})
				l.parts[windows-2] = append(l.parts[windows-2], steady)
				sample := test.last
				if i == 0 {
					sample = usage{residentMB: 900} // one moment does not count
				}
				l.parts[windows-1] = append(l.parts[windows-1], sample)
			}
			l.judge()
			if test.want == "" && report.violated() || test.want != "" && !report.has(test.want) {
				t.Errorf("violations %q, want %q", report.violations, test.want)
			}
			var out strings.Builder
			l.print(&out)
			if !strings.Contains(out.String(), "replica-0, which was not restarted") {
				t.Error("the figures are not printed")
			}
		})
	}
}
