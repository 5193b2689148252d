package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/pflag"
)

// The forms of the output.
const (
	formatTable     = "table"
	formatBenchstat = "benchstat"
)

// settings are the flags.
type settings struct {
	plan
	binary string
	// serverFlags are given to the server.
	serverFlags []string
	run         *regexp.Regexp
	format      string
	write       string
	// part is the part of the document to write, in place of the document.
	part string
	peer peerFlags
}

const usage = `Usage: bench [flags]

Measures the CPU of TokenReview and TokenRequest against a bare HTTPS server, both started for it. The working directory
is the module's, unless --binary is given. --write puts the figures into docs/performance.md, which says what they mean.

`

func parseFlags(args []string, out io.Writer) (*settings, error) {
	o := &settings{}
	var selection string
	var quick, list bool
	fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(out)
	fs.Usage = func() { _, _ = fmt.Fprint(out, usage+fs.FlagUsages()) }
	fs.StringVar(&o.binary, "binary", "", "the mintmark to measure. Default: one that is built for it")
	fs.StringArrayVar(&o.serverFlags, "server-flag", nil, "flag to start it with, such as --server-flag=--fast-path=false; may be repeated. Default: its defaults")
	fs.StringVar(&selection, "run", "", "regular expression of what to run, such as Warm or 'ReviewNew/http=2'. Default: everything")
	fs.BoolVar(&list, "list", false, "say what there is to run, and run nothing")
	fs.BoolVar(&quick, "quick", false, "less than a minute in all: 2 rounds of 250ms. The figures say little")
	fs.IntVar(&o.rounds, "rounds", 9, "windows for each server and scenario, after one to warm up")
	fs.DurationVar(&o.window, "window", 800*time.Millisecond, "how long each of them is")
	fs.IntVar(&o.workers, "concurrency", 16, "requests at once: connections of HTTP/1.1, streams of HTTP/2")
	fs.StringVar(&o.format, "format", formatTable, "what is printed: table, or benchstat for lines that benchstat reads, one for each round")
	fs.StringVar(&o.write, "write", "", "file to write as docs/performance.md is written")
	fs.StringVar(&o.part, "part", "", "with --write, put the table into this part of the file and leave the rest of it: issuers")
	o.peer.add(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("there are no arguments, only flags: %q", fs.Args())
	}
	if list {
		return nil, errors.Join(printList(out), pflag.ErrHelp)
	}
	if quick && !fs.Changed("rounds") {
		o.rounds = quickRounds
	}
	if quick && !fs.Changed("window") {
		o.window = quickWindow
	}
	o.warm = max(o.window/3, minWarm)
	var err error
	if o.run, err = regexp.Compile(selection); err != nil {
		return nil, fmt.Errorf("--run: %w", err)
	}
	return o, o.validate()
}

const (
	quickRounds = 2
	quickWindow = 250 * time.Millisecond
	// minWarm is the shortest warm-up, and minWindow the shortest window in which the kernel's hundredths of a second
	// still say something.
	minWarm, minWindow = 200 * time.Millisecond, 100 * time.Millisecond
)

func (o *settings) validate() error {
	switch {
	case o.rounds < 1:
		return errors.New("--rounds: at least one is needed")
	case o.window < minWindow:
		return fmt.Errorf("--window: at least %s is needed, since the kernel counts CPU in steps of %s", minWindow, tick)
	case o.workers < 1:
		return errors.New("--concurrency: at least one is needed")
	case o.format != formatTable && o.format != formatBenchstat:
		return fmt.Errorf("--format: %q is neither %s nor %s", o.format, formatTable, formatBenchstat)
	}
	if o.part != "" && (o.part != issuersPart || o.write == "") {
		return fmt.Errorf("--part: it goes with --write, and is %s", issuersPart)
	}
	if _, err := os.Stat(filepath.Dir(o.write)); err != nil {
		return fmt.Errorf("--write: %w", err)
	}
	return o.peer.validate()
}

// selected says whether --run wants this.
func (o *settings) selected(sc scenario, version protocol) bool {
	return o.run.MatchString(sc.id + "/http=" + string(version))
}

func printList(out io.Writer) error {
	for _, sc := range scenarios() {
		if _, err := fmt.Fprintf(out, "%-24s %s\n", sc.id, sc.what); err != nil {
			return err
		}
	}
	return nil
}
