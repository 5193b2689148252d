package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/etcd"
)

// state holds the figures of a server at one time.
type state struct {
	name string
	// starts is the time until /readyz, and startCPU the CPU until then; 0 if it was not started for this.
	starts, startCPU time.Duration
	memory           memory
	// review is of a token that was reviewed before, and first of one that was not.
	review, first round
	// list and watch are how long a list of a namespace takes, and a watch of it to tell of a write.
	list, watch time.Duration
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
	return inDir(ctx, func(dir string) error { return opts.present(ctx, dir, args, s) })
}

// inDir measures in a new directory, and removes it.
func inDir(ctx context.Context, measure func(dir string) error) error {
	dir, err := os.MkdirTemp("", "mintmark-bench-")
	if err != nil {
		return err
	}
	err = measure(dir)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// present measures, and prints and writes what it found.
func (o *size) present(ctx context.Context, dir string, args []string, s streams) error {
	since, err := utilization()
	if err != nil {
		return err
	}
	states, err := o.measure(ctx, dir, s.err)
	if err != nil {
		return err
	}
	found := figures{part: sizePart, table: sizeTable(states)}
	switch {
	case o.revocations:
		found.part = revocationsPart
	case o.etcd:
		found.part = etcdPart
	}
	if found.busy, err = since(); err != nil {
		return err
	}
	return found.present(s.out, o.write, o.binary, append([]string{sizeCommand}, args...))
}

// measure looks at a server that holds nothing, then fills it, and looks at it again, before and after a restart.
func (o *size) measure(ctx context.Context, dir string, log io.Writer) ([]state, error) {
	if o.binary == "" {
		o.binary = filepath.Join(dir, serverName)
		if err := build(ctx, o.binary, log); err != nil {
			return nil, err
		}
	}
	flags, stop, err := o.store(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer stop()
	return o.measureWith(ctx, filepath.Join(dir, dataName), flags, log)
}

// dataName is the name of the server's data directory.
const dataName = "data"

// store starts the etcd that the server is to use, if that is not its own, and returns the flags of the server.
func (o *size) store(ctx context.Context, dir string) (flags []string, stop func(), err error) {
	if !o.etcd {
		return o.flags, func() {}, nil
	}
	if err := shareKey(filepath.Join(dir, dataName)); err != nil {
		return nil, nil, err
	}
	own, err := startCluster(ctx, filepath.Join(dir, "etcd"), 1)
	if err != nil {
		return nil, nil, err
	}
	return append(slices.Clone(o.flags), "--etcd-servers="+own.urls()[0]), own.stop, nil
}

// measureWith takes the steps of measure with a server of those flags.
func (o *size) measureWith(ctx context.Context, dataDir string, flags []string, log io.Writer) (states []state, err error) {
	visit := func(use func(look func(name string, objects int) error, admin *site) error) error {
		return o.visit(ctx, dataDir, flags, log, use, &states)
	}
	again := func(full stock) error {
		return visit(func(look func(string, int) error, admin *site) error {
			return errors.Join(look(full.String()+", started again", full.total()), o.check(ctx, admin, full))
		})
	}
	err = visit(func(look func(string, int) error, _ *site) error { return look("new", 0) })
	if err != nil {
		return nil, err
	}
	var like *specimens
	err = visit(func(look func(string, int) error, admin *site) error {
		if err = look("empty", 0); err != nil {
			return err
		}
		if o.direct {
			like, err = newSpecimens(ctx, admin)
			return err
		}
		full := o.of(o.objects[0])
		if err := o.fill(ctx, admin, full, log); err != nil {
			return err
		}
		return look(full.String(), full.total())
	})
	if err != nil {
		return nil, err
	}
	if !o.direct {
		return states, again(o.of(o.objects[0]))
	}
	var before stock
	for _, n := range o.objects {
		full := o.of(n)
		err := o.inStore(ctx, dataDir, flags, func(client *clientv3.Client) error {
			if err := like.write(ctx, client, before, full, o.workers, log); err != nil {
				return err
			}
			return writeLittle(ctx, client, o.workers)
		})
		if err != nil {
			return nil, err
		}
		if err := again(full); err != nil {
			return nil, err
		}
		before = full
	}
	return states, nil
}

// inStore calls use with a client of the store of a server that is stopped.
func (o *size) inStore(ctx context.Context, dataDir string, flags []string, use func(*clientv3.Client) error) error {
	var endpoint string
	if o.etcd {
		endpoint = strings.TrimPrefix(flags[len(flags)-1], "--etcd-servers=")
	} else {
		klog.LogToStderr(false)
		klog.SetOutput(io.Discard) // etcd finds these writes unusually large, and tells all of their keys
		embedded, err := etcd.Start(ctx, etcd.Config{Dir: filepath.Join(dataDir, datadir.Store)})
		if err != nil {
			return err
		}
		defer embedded.Close()
		endpoint = embedded.Endpoint()
	}
	client, err := etcdClient(endpoint)
	if err != nil {
		return err
	}
	return errors.Join(use(client), client.Close())
}

// visit starts a server and calls use with a function that looks at it.
func (o *size) visit(ctx context.Context, dataDir string, flags []string, log io.Writer,
	use func(look func(name string, objects int) error, own *site) error, states *[]state,
) error {
	began := time.Now()
	server, admin, err := startServer(ctx, o.binary, dataDir, flags)
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
		// What the start left to do in the background is done meanwhile.
		select {
		case <-time.After(o.settle):
		case <-ctx.Done():
			return ctx.Err()
		}
		seen := state{name: name, starts: starts, startCPU: startCPU, objects: objects}
		if seen.memory, err = readMemory(server.pid); err != nil {
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
		seen.review, seen.first = reviews[0], reviews[1]
		if seen.list, seen.watch, err = lookAtNamespace(ctx, own); err != nil {
			return err
		}
		starts, startCPU = 0, 0
		*states = append(*states, seen)
		return nil
	}
	return errors.Join(use(look, own), own.close(ctx))
}

// sizeTable writes states as a table of Markdown. The first one is what the others are compared with, but for the start.
func sizeTable(states []state) string {
	var out strings.Builder
	out.WriteString("| server | /readyz after ms | CPU until then ms | resident MB | of that, from files MB | for each object KB | peak MB | review, warm: CPU µs | ratio | review, new: CPU µs | list, p50 ms | watch, p50 ms |\n")
	out.WriteString("|--------|-----------------:|------------------:|------------:|-----------------------:|-------------------:|--------:|---------------------:|------:|--------------------:|-------------:|--------------:|\n")
	empty := states[0].memory
	for _, s := range states {
		starts, each := " | ", ""
		if s.starts > 0 {
			starts = fmt.Sprintf("%d | %d", s.starts.Milliseconds(), s.startCPU.Milliseconds())
		}
		if s.objects > 0 {
			each = fmt.Sprintf("%.2f", float64(s.memory.resident-empty.resident)/float64(s.objects)/1000)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %s | %.1f | %s | %s | %s |\n", s.name, starts,
			megabytes(s.memory.resident), megabytes(s.memory.files), each, megabytes(s.memory.peak), micros(s.review.cpu), s.review.ratio, micros(s.first.cpu),
			millis(s.list), millis(s.watch))
	}
	return out.String()
}
