package main

import (
	_ "embed" // for the document
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/template"
	"time"
)

// report is all that a run found. The document is made of its exported fields and methods.
type report struct {
	Machine machine
	Program program
	Date    time.Time
	Results []result

	prices prices
	plan   plan
	run    string
	flags  []string
	peer   string
	// parts are what other commands wrote into the document.
	parts map[string]string
}

// newReport returns the report of a run that begins now.
func newReport(binary string, opts *settings) (*report, error) {
	made, err := readProgram(binary)
	if err != nil {
		return nil, err
	}
	r := &report{Machine: describe(), Program: made, Date: time.Now().UTC(), plan: opts.plan, run: opts.run.String(), flags: opts.serverFlags}
	if opts.peer.given() {
		r.peer = opts.peer.name
	}
	return r, nil
}

// print writes the figures to the terminal.
func (r *report) print(out io.Writer, format string) error {
	if format == formatBenchstat {
		_, err := io.WriteString(out, benchstat(r))
		return err
	}
	_, err := fmt.Fprintf(out, "%s\n%s\n", r.Table(), r.Under())
	return err
}

//go:embed performance.md.tmpl
var document string

// write writes the document into a file.
func (r *report) write(file string) error {
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.parts = parts(string(before))
	made, err := r.document()
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(made), 0o644) //nolint:gosec // G306: it is there to be read
}

func (r *report) document() (string, error) {
	parsed, err := template.New("performance.md").Parse(document)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = parsed.Execute(&out, r)
	return out.String(), err
}

// Part is what another command wrote into the document.
func (r *report) Part(name string) string { return part(name, r.parts[name]) }

// Table is the table of all results.
func (r *report) Table() string { return table(r.Results) }

// Under is the lines below the table.
func (r *report) Under() string {
	var out strings.Builder
	fmt.Fprintf(&out, "* On this machine one ES256 verification takes crypto/ecdsa %s µs of CPU, and one ES256 signature %s µs.\n",
		micros(medianTime(r.prices.verifications)), micros(medianTime(r.prices.signatures)))
	told := map[protocol]bool{}
	for _, one := range r.Results {
		if one.server != floorName || told[one.protocol] {
			continue
		}
		told[one.protocol] = true
		t := one.typical()
		fmt.Fprintf(&out, "* The floor itself, over HTTP/%s (%s): %s µs of CPU, %.0f requests/s, p50 %s ms, p99 %s ms, %s MB resident.\n",
			one.protocol, one.scenario.title, micros(t.cpu), t.rate, millis(t.p50), millis(t.p99), megabytes(one.resident))
	}
	if others := r.others(); others > quiet {
		fmt.Fprintf(&out, "* **Other programs took %.0f %% of the processors meanwhile**, which makes everything dearer and the figures shaky. Measure again when they are gone.\n", others*100)
	}
	return out.String()
}

// quiet is which share of the processors others may have taken for figures to be trusted.
const quiet = 0.1

// others is the share of the processors that others took, in the middle of all rounds.
func (r *report) others() float64 {
	var all []float64
	for _, one := range r.Results {
		for _, round := range one.rounds {
			all = append(all, round.others)
		}
	}
	return median(all)
}

// where says when and with what the figures were made.
func (r *report) where() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: ", r.Date.Format(time.DateOnly))
	if r.Program.Revision != "" {
		fmt.Fprintf(&out, "revision %.12s", r.Program.Revision)
		if r.Program.Modified {
			out.WriteString(" with changes")
		}
		out.WriteString(", ")
	}
	fmt.Fprintf(&out, "built with %s", r.Program.Go)
	return out.String()
}

// Setting says how the figures were made.
func (r *report) Setting() string {
	var out strings.Builder
	fmt.Fprintf(&out, "* %s.\n* %s.\n", r.where(), r.Machine)
	fmt.Fprintf(&out, "* %d rounds of %s for each server, %d requests at once.\n", r.plan.rounds, r.plan.window, r.plan.workers)
	fmt.Fprintf(&out, "* Other programs took %.0f %% of the processors meanwhile (median of all windows).\n", r.others()*100)
	if r.run != "" {
		fmt.Fprintf(&out, "* Not everything: only what `--run '%s'` selects.\n", r.run)
	}
	if len(r.flags) > 0 {
		fmt.Fprintf(&out, "* The server had further flags: `%s`.\n", strings.Join(r.flags, " "))
	}
	if r.peer != "" {
		fmt.Fprintf(&out, "* %q is another server of the same API on the same machine, given by `--peer`.\n", r.peer)
	}
	return out.String()
}

// Scenarios is the list of them.
func (r *report) Scenarios() string {
	var out strings.Builder
	for _, sc := range scenarios() {
		fmt.Fprintf(&out, "* **%s** (`%s`): %s.\n", sc.title, sc.id, sc.what)
	}
	return out.String()
}
