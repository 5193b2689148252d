package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// spread is what was measured of one kind.
type spread struct {
	name  string
	times []time.Duration
}

// spreadTable writes spreads as a table of Markdown.
func spreadTable(found []*spread) string {
	var out strings.Builder
	out.WriteString("| what | times | p50 ms | p99 ms | longest ms |\n|------|------:|-------:|-------:|-----------:|\n")
	for _, s := range found {
		sorted := slices.Sorted(slices.Values(s.times))
		fmt.Fprintf(&out, "| %s | %d | %s | %s | %s |\n", s.name, len(sorted),
			millis(percentile(sorted, 50)), millis(percentile(sorted, 99)), millis(percentile(sorted, 100)))
	}
	return out.String()
}
