package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/pflag"
)

// sizeCommand has the program measure what stored objects cost instead of what requests cost.
const sizeCommand = "size"

// size is the flags of that command.
type size struct {
	plan
	binary string
	flags  []string
	// objects is how many there are, one number for each state.
	objects []int
	// pods is how many pods there are beside the accounts.
	pods int
	// revocations has the objects be revocations of tokens.
	revocations bool
	// direct has the objects written into the store while the server is stopped.
	direct bool
	// etcd has the store be an etcd of its own, which implies direct.
	etcd   bool
	settle time.Duration
	write  string
}

const sizeUsage = `Usage: bench size [flags]

Measures what service accounts and pods, or revocations of tokens, cost a server: memory, the time until /readyz answers,
and the CPU of reviews beside them. The working directory is the module's, unless --binary is given.

`

func parseSizeFlags(args []string, out io.Writer) (*size, error) {
	o := &size{plan: plan{rounds: 5, window: time.Second, warm: minWarm}}
	fs := pflag.NewFlagSet(sizeCommand, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(out)
	fs.Usage = func() { _, _ = fmt.Fprint(out, sizeUsage+fs.FlagUsages()) }
	fs.StringVar(&o.binary, "binary", "", "the mintmark to measure. Default: one that is built for it")
	fs.StringArrayVar(&o.flags, "server-flag", nil, "flag to start it with; may be repeated. Default: its defaults")
	fs.IntSliceVar(&o.objects, "objects", []int{100_000}, "how many service accounts; several numbers with --direct")
	fs.IntVar(&o.pods, "pods", -1, "how many pods that run under them. Default: as many")
	fs.BoolVar(&o.revocations, "revocations", false, "store as many revocations of tokens instead")
	fs.BoolVar(&o.direct, "direct", false, "write the objects into the store while the server is stopped: that takes a tenth of the time of requests")
	fs.BoolVar(&o.etcd, "etcd", false, "have them in an etcd outside of the server, which is started for this; implies --direct")
	fs.IntVar(&o.rounds, "rounds", o.rounds, "windows for each server and kind of review, after one to warm up")
	fs.DurationVar(&o.window, "window", o.window, "how long each of them is")
	fs.DurationVar(&o.settle, "settle", 30*time.Second, "how long a server is left alone before it is measured")
	fs.IntVar(&o.workers, "concurrency", 16, "requests at once")
	fs.StringVar(&o.write, "write", "", "file to write the figures into, as they are in docs/performance.md")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if o.pods < 0 {
		o.pods = slices.Max(append(o.objects, 0))
	}
	o.direct = o.direct || o.etcd
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("there are no arguments, only flags: %q", fs.Args())
	case len(o.objects) == 0 || slices.Min(o.objects) < 1 || !slices.IsSorted(o.objects):
		return nil, errors.New("--objects: at least one is needed, and a larger number after a smaller one")
	case len(o.objects) > 1 && !o.direct:
		return nil, errors.New("--objects: several numbers go with --direct only")
	case o.settle < 0:
		return nil, errors.New("--settle: a time can't be negative")
	case o.workers < 1:
		return nil, errors.New("--concurrency: at least one is needed")
	case o.rounds < 1 || o.window <= 0:
		return nil, errors.New("--rounds, --window: at least one round of some length is needed")
	}
	return o, nil
}
