package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
)

// streams are where a process reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// serverName stands for the server of this module in results.
const serverName = "mintmark"

// cleanTimeout bounds the clean-up, which takes place after an interrupt as well.
const cleanTimeout = 30 * time.Second

// programs are what the program does besides. Floor and etcd are for processes that it starts itself.
var programs = map[string]func(ctx context.Context, args []string, s streams) error{
	floorCommand: runFloor, etcdCommand: runEtcd, sizeCommand: runSize, propagationCommand: runPropagation,
	overloadCommand: runOverload,
}

// run is the program.
func run(ctx context.Context, args []string, s streams) error {
	if len(args) > 0 && programs[args[0]] != nil {
		return programs[args[0]](ctx, args[1:], s)
	}
	opts, err := parseFlags(args, s.out)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := checkProc(); err != nil {
		return err
	}
	used, err := utilization()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mintmark-bench-")
	if err != nil {
		return err
	}
	r, err := measureIn(ctx, dir, opts, s.err)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	if err := r.print(s.out, opts.format); err != nil {
		return err
	}
	if opts.write == "" {
		return nil
	}
	if opts.part == "" {
		return r.write(opts.write)
	}
	busy, err := used()
	if err != nil {
		return err
	}
	of := figures{part: opts.part, table: r.Table(), busy: busy}
	return of.write(opts.write, r.Program, args)
}

// measureIn measures the scenarios that the options select, with a server that has its files in dir. It leaves no process.
func measureIn(ctx context.Context, dir string, opts *settings, log io.Writer) (r *report, err error) {
	binary := opts.binary
	if binary == "" {
		binary = filepath.Join(dir, serverName)
		if err := build(ctx, binary, log); err != nil {
			return nil, err
		}
	}
	if r, err = newReport(binary, opts); err != nil {
		return nil, err
	}
	dataDir := filepath.Join(dir, "data")
	given, err := newCredentials(dir, certificateUser)
	if err != nil {
		return nil, err
	}
	server, admin, err := startServer(ctx, binary, dataDir, append(given.flags, opts.serverFlags...))
	if err != nil {
		return nil, err
	}
	defer server.stop()
	own := &site{
		name: serverName, pids: []int{server.pid}, admin: admin, temporary: true, signingKey: given.signingKey, certificate: given.certificate,
	}
	floor, err := startFloor(ctx, filepath.Join(dataDir, "serving.crt"), filepath.Join(dataDir, "serving.key"), filepath.Join(dir, "floor.log"))
	if err != nil {
		return nil, err
	}
	defer floor.stop()
	sites := []*site{own}
	if opts.peer.given() {
		peer, err := opts.peer.site()
		if err != nil {
			return nil, err
		}
		sites = append(sites, peer)
	}
	if err := measureSites(ctx, r, &runner{plan: opts.plan, floor: floor, sites: sites}, opts, log); err != nil {
		if ctx.Err() == nil {
			err = server.explain(err, logOf(dataDir))
		}
		return nil, err
	}
	return r, nil
}

// measureSites prepares the sites, runs the scenarios and removes from the sites what it has brought there.
func measureSites(ctx context.Context, r *report, bench *runner, opts *settings, log io.Writer) (err error) {
	for _, s := range bench.sites {
		defer func() {
			cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
			defer cancel()
			err = errors.Join(err, s.close(cleaning))
		}()
		if err := s.open(ctx); err != nil {
			return err
		}
	}
	// The floor has the certificate of the first.
	bench.floorRoots = bench.sites[0].tls
	for _, sc := range scenarios() {
		for _, version := range protocols {
			if !opts.selected(sc, version) {
				continue
			}
			if _, err := fmt.Fprintf(log, "%s, HTTP/%s\n", sc.title, version); err != nil {
				return err
			}
			if err := r.prices.measure(); err != nil {
				return err
			}
			results, err := bench.measure(ctx, sc, version)
			if err != nil {
				return err
			}
			r.Results = append(r.Results, results...)
		}
	}
	if len(r.Results) == 0 {
		return fmt.Errorf("--run %s selects nothing; see --list", opts.run)
	}
	return nil
}
