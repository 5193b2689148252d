package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// shownViolations is how many violations are told one by one.
const shownViolations = 20

// report counts what was done and holds what was wrong.
type report struct {
	seed    int64
	started time.Time
	log     io.Writer

	mu         sync.Mutex
	counts     map[string]int64
	faults     map[string]int64
	violations []string
	skipped    []string
	// after prints what there is besides; nil if there is nothing.
	after func(io.Writer)
}

func newReport(seed int64, log io.Writer) *report {
	return &report{seed: seed, started: time.Now(), log: log, counts: map[string]int64{}, faults: map[string]int64{}}
}

func (r *report) count(what string) { r.add(what, 1) }

func (r *report) add(what string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[what] += n
}

// fault notes an injected fault.
func (r *report) fault(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[name]++
	fmt.Fprintf(r.log, "%8s  %s\n", time.Since(r.started).Round(time.Millisecond*100), name)
}

// skip notes a fault that this machine can't have.
func (r *report) skip(name, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipped = append(r.skipped, name+": "+why)
}

// violation notes an answer that breaks the model.
func (r *report) violation(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, text)
	if len(r.violations) <= shownViolations {
		fmt.Fprintf(r.log, "%8s  VIOLATION: %s\n", time.Since(r.started).Round(time.Millisecond*100), text)
	}
}

func (r *report) violated() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.violations) > 0
}

// has tells whether a violation with a text was noted.
func (r *report) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.violations, func(v string) bool { return strings.Contains(v, text) })
}

func (r *report) print(out io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(out, "seed %d, %s\n", r.seed, time.Since(r.started).Round(time.Second))
	fmt.Fprintln(out, "faults injected:")
	printCounts(out, r.faults)
	for _, s := range r.skipped {
		fmt.Fprintln(out, "  skipped:", s)
	}
	fmt.Fprintln(out, "operations checked:")
	printCounts(out, r.counts)
	if r.after != nil {
		r.after(out)
	}
	for _, v := range r.violations[:min(len(r.violations), shownViolations)] {
		fmt.Fprintln(out, "violation:", v)
	}
	fmt.Fprintln(out, "violations:", len(r.violations))
}

func printCounts(out io.Writer, counts map[string]int64) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(out, "  %8d  %s\n", counts[name], name)
	}
}

// complete tells whether each fault was injected.
func (r *report) complete(chosen []fault) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range chosen {
		if r.faults[chosen[i].name] == 0 {
			return false
		}
	}
	return true
}
