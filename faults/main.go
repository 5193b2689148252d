// Command faults runs real etcd members and real servers on loopback, injects faults into them in an order that a seed gives,
// and compares every answer with a plain model of what was acknowledged.
//
//	go run ./faults                      ten minutes of all faults, with a seed that is printed
//	go run ./faults -seed 7 -for 90s     a run that is repeated
//	go run ./faults -only pause,leader   some faults
//	go run ./faults -plant lost-write    a planted bug, which a check must find
//	go run ./faults -long 20m            no faults but restarts, and the servers must not grow
//
// The last lines are the report. The exit code is 0 when no answer broke the model, 1 when one did, 2 when the run could not
// be carried out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	exitViolated = 1
	exitBroken   = 2
)

// options are the flags of a run.
type options struct {
	seed   int64
	length time.Duration
	binary string
	only   string
	plant  string
	keep   bool
	// long is the length of a run without faults but restarts; 0 is one with faults.
	long time.Duration
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == memberCommand {
		runMember(os.Args[2:])
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out what the arguments say, and returns the exit code.
func run(ctx context.Context, args []string, out, log io.Writer) int {
	opts := options{}
	fs := flag.NewFlagSet("faults", flag.ContinueOnError)
	fs.SetOutput(log)
	fs.Int64Var(&opts.seed, "seed", time.Now().UnixNano()%1_000_000, "orders the faults and the work; 0 is a seed, too")
	fs.DurationVar(&opts.length, "for", 10*time.Minute, "how long faults are injected")
	fs.StringVar(&opts.binary, "binary", "", "the server; built from the working directory's module if not given")
	fs.StringVar(&opts.only, "only", "", "names of the faults to inject, comma separated: "+strings.Join(faultNames(), ", ")+", "+embeddedScenario)
	fs.StringVar(&opts.plant, "plant", "", "a bug that the servers seem to have: "+strings.Join(plantNames(), ", "))
	fs.DurationVar(&opts.long, "long", 0, "instead of injecting faults, work for that long with rotations, revocations and restarts, and see whether a server grows")
	fs.BoolVar(&opts.keep, "keep", false, "keep the directory with the logs")
	if err := fs.Parse(args); err != nil {
		return exitBroken
	}
	report, err := carryOut(ctx, opts, log)
	if err != nil {
		fmt.Fprintln(log, "error:", err)
		return exitBroken
	}
	report.print(out)
	if report.violated() {
		return exitViolated
	}
	return 0
}

// carryOut makes a directory and the binary, and runs the scenarios in it.
func carryOut(ctx context.Context, opts options, log io.Writer) (*report, error) {
	chosen, err := chooseFaults(opts.only)
	if err != nil {
		return nil, err
	}
	plant, err := choosePlant(opts.plant)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		return nil, err
	}
	if opts.keep {
		fmt.Fprintln(log, "The logs are in", dir)
	} else {
		defer func() { _ = os.RemoveAll(dir) }() // what is left over is in the temporary directory
	}
	if opts.binary == "" {
		opts.binary = filepath.Join(dir, "mintmark")
		if err := build(ctx, opts.binary, log); err != nil {
			return nil, err
		}
	}
	r := newReport(opts.seed, log)
	if opts.long > 0 {
		return r, runLong(ctx, opts, dir, r)
	}
	if len(chosen.replicated) > 0 {
		err = runReplicated(ctx, opts, chosen.replicated, plant, filepath.Join(dir, "replicated"), r)
	}
	if chosen.embedded && err == nil {
		err = runEmbedded(ctx, opts, plant, filepath.Join(dir, "embedded"), r)
	}
	if err != nil && errors.Is(err, ctx.Err()) {
		err = nil // the run was told to end: what it found until then counts
	}
	return r, err
}
