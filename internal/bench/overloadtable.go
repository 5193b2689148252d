package main

import (
	"fmt"
	"strings"
)

// table writes the phases as a table of Markdown.
func (r *rush) table() string {
	var out strings.Builder
	out.WriteString("| load | callers | offered/s | not sent/s | answered/s | 429/s | p50 ms | p99 ms | resident MB |\n")
	out.WriteString("|------|---------|----------:|-----------:|-----------:|------:|-------:|-------:|------------:|\n")
	var notes []string
	before := ""
	for _, p := range r.phases {
		for i, o := range p.outcomes {
			name, memory := p.name, megabytes(p.resident)
			if i > 0 {
				name, memory = "", ""
			}
			perSecond := func(n int) string { return fmt.Sprintf("%.0f", float64(n)/o.length.Seconds()) }
			offered := "as answered"
			if o.offered > 0 {
				offered = fmt.Sprintf("%.0f", o.offered)
			}
			fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", name, o.name, offered, perSecond(o.unsent), perSecond(len(o.answered)),
				perSecond(o.shed), millis(percentile(o.answered, 50)), millis(percentile(o.answered, 99)), memory)
			if o.withoutRetry+o.failed > 0 {
				notes = append(notes, fmt.Sprintf("%s, %s: %d times 429 without Retry-After, %d requests failed", p.name, o.name, o.withoutRetry, o.failed))
			}
		}
		if p.note != "" {
			notes = append(notes, p.note+", after "+before)
		}
		before = p.name
	}
	for _, note := range notes {
		fmt.Fprintf(&out, "\n* %s\n", note)
	}
	return out.String()
}
