package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// sizeCommand has the program measure what stored objects cost instead of what requests cost.
const sizeCommand = "size"

// size is the flags of that command.
type size struct {
	plan
	binary  string
	flags   []string
	objects int
	// revocations has the objects be revocations of tokens.
	revocations bool
	settle      time.Duration
}

const sizeUsage = `Usage: bench size [flags]

Measures what service accounts and pods, or revocations of tokens, cost a server with the embedded etcd: memory, the time
until /readyz answers, and the CPU of reviews beside them. The working directory is the module's, unless --binary is given.

`

func parseSizeFlags(args []string, out io.Writer) (*size, error) {
	o := &size{plan: plan{rounds: 5, window: time.Second, warm: minWarm}}
	fs := pflag.NewFlagSet(sizeCommand, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(out)
	fs.Usage = func() { _, _ = fmt.Fprint(out, sizeUsage+fs.FlagUsages()) }
	fs.StringVar(&o.binary, "binary", "", "the mintmark to measure. Default: one that is built for it")
	fs.StringArrayVar(&o.flags, "server-flag", nil, "flag to start it with; may be repeated. Default: its defaults")
	fs.IntVar(&o.objects, "objects", 100_000, "how many service accounts, and as many pods")
	fs.BoolVar(&o.revocations, "revocations", false, "store as many revocations of tokens instead")
	fs.IntVar(&o.rounds, "rounds", o.rounds, "windows for each server and kind of review, after one to warm up")
	fs.DurationVar(&o.window, "window", o.window, "how long each of them is")
	fs.DurationVar(&o.settle, "settle", 30*time.Second, "how long a server is left alone before its memory is read")
	fs.IntVar(&o.workers, "concurrency", 16, "requests at once")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("there are no arguments, only flags: %q", fs.Args())
	case o.objects < 1:
		return nil, errors.New("--objects: at least one is needed")
	case o.settle < 0:
		return nil, errors.New("--settle: a time can't be negative")
	case o.workers < 1:
		return nil, errors.New("--concurrency: at least one is needed")
	case o.rounds < 1 || o.window <= 0:
		return nil, errors.New("--rounds, --window: at least one round of some length is needed")
	}
	return o, nil
}

// state holds the figures of a server at one time.
type state struct {
	name string
	// starts is the time until /readyz, and startCPU the CPU until then; 0 if it was not started for this.
	starts, startCPU time.Duration
	memory           memory
	// review is of a token that was reviewed before, and first of one that was not.
	review, first round
	// objects is the number of stored objects beyond those of the first state.
	objects int
}

// runSize is the command.
func runSize(ctx context.Context, args []string, s streams) error {
	opts, err := parseSizeFlags(args, s.out)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := checkProc(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mintmark-bench-")
	if err != nil {
		return err
	}
	states, err := opts.measure(ctx, dir, s.err)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	_, err = io.WriteString(s.out, sizeTable(states))
	return err
}

// measure looks at a server that holds nothing, then fills it, and looks at it again, before and after a restart.
func (o *size) measure(ctx context.Context, dir string, log io.Writer) ([]state, error) {
	binary := o.binary
	if binary == "" {
		binary = filepath.Join(dir, serverName)
		if err := build(ctx, binary, log); err != nil {
			return nil, err
		}
	}
	full, stored, fillWith := fmt.Sprintf("%d accounts, %d pods", o.objects, o.objects), 2*o.objects, fill
	if o.revocations {
		full, stored, fillWith = fmt.Sprintf("%d revocations", o.objects), o.objects, fillRevocations
	}
	var states []state
	for _, run := range []struct {
		fresh, refilled string
		before, after   int
	}{
		{fresh: "new"},
		{fresh: "empty", refilled: full, after: stored},
		{fresh: full + ", started again", before: stored},
	} {
		err := o.visit(ctx, binary, filepath.Join(dir, "data"), log, func(look func(name string, objects int) error, admin *site) error {
			if err := look(run.fresh, run.before); err != nil || run.refilled == "" {
				return err
			}
			if err := fillWith(ctx, admin, o.objects, o.workers, log); err != nil {
				return err
			}
			return look(run.refilled, run.after)
		}, &states)
		if err != nil {
			return nil, err
		}
	}
	return states, nil
}

// visit starts a server and calls use with a function that looks at it.
func (o *size) visit(ctx context.Context, binary, dataDir string, log io.Writer,
	use func(look func(name string, objects int) error, own *site) error, states *[]state,
) error {
	began := time.Now()
	server, admin, err := startServer(ctx, binary, dataDir, o.flags)
	if err != nil {
		return err
	}
	defer server.stop()
	starts := time.Since(began)
	startCPU, err := cpuTime(server.pid)
	if err != nil {
		return err
	}
	floor, err := startFloor(ctx, filepath.Join(dataDir, "serving.crt"), filepath.Join(dataDir, "serving.key"), dataDir+".floor.log")
	if err != nil {
		return err
	}
	defer floor.stop()
	own := &site{name: serverName, pids: []int{server.pid}, admin: admin}
	if err := own.open(ctx); err != nil {
		return err
	}
	bench := &runner{plan: o.plan, floor: floor, sites: []*site{own}, floorRoots: own.tls}
	look := func(name string, objects int) error {
		if _, err := fmt.Fprintln(log, name); err != nil {
			return err
		}
		var reviews [2]round
		for i, scenario := range scenarios()[:len(reviews)] {
			results, err := bench.measure(ctx, scenario, http1)
			if err != nil {
				return err
			}
			reviews[i] = results[1].typical()
		}
		select {
		case <-time.After(o.settle):
		case <-ctx.Done():
			return ctx.Err()
		}
		seen := state{name: name, starts: starts, startCPU: startCPU, review: reviews[0], first: reviews[1], objects: objects}
		starts, startCPU = 0, 0
		if seen.memory, err = readMemory(server.pid); err != nil {
			return err
		}
		*states = append(*states, seen)
		return nil
	}
	return errors.Join(use(look, own), own.close(ctx))
}

// sizeTable writes states as a table of Markdown. The first one is what the others are compared with, but for the start.
func sizeTable(states []state) string {
	var out strings.Builder
	out.WriteString("| server | /readyz after ms | CPU until then ms | resident MB | of that, from files MB | for each object KB | review, warm: CPU µs | ratio | review, new: CPU µs |\n")
	out.WriteString("|--------|-----------------:|------------------:|------------:|-----------------------:|-------------------:|---------------------:|------:|--------------------:|\n")
	empty := states[0].memory
	for _, s := range states {
		starts, each := " | ", ""
		if s.starts > 0 {
			starts = fmt.Sprintf("%d | %d", s.starts.Milliseconds(), s.startCPU.Milliseconds())
		}
		if s.objects > 0 {
			each = fmt.Sprintf("%.2f", float64(s.memory.resident-empty.resident)/float64(s.objects)/1000)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %.1f | %s |\n", s.name, starts,
			megabytes(s.memory.resident), megabytes(s.memory.files), each, micros(s.review.cpu), s.review.ratio, micros(s.first.cpu))
	}
	return out.String()
}
