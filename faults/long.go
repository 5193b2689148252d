package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// longWorkers is how many stories are told at a time in a long run: its load is modest.
	longWorkers = 2
	// sampleEvery is the time between two looks at what the servers use.
	sampleEvery = 5 * time.Second
	// eventEvery is the time between two events of a long run: a wave of revocations with a rotation, or a restart.
	eventEvery = 30 * time.Second
	// windows is into how many parts a long run is divided. The last two are compared.
	windows = 4
	// restartTries is how often a server is started that ends at its start, since the store did not answer in time.
	restartTries = 5
	// idleTime is how long the servers have, when the work has ended, until they are looked at once more.
	idleTime = 20 * time.Second
)

// usage is what a server uses.
type usage struct {
	residentMB, goroutines, descriptors int
}

// growth is how much more than before a server may use in the last part of a long run.
func (u usage) growth(later usage) string {
	for _, part := range []struct {
		what          string
		before, after int
		slack         int
	}{
		{"MB of memory", u.residentMB, later.residentMB, 8},
		{"goroutines", u.goroutines, later.goroutines, 10},
		{"file descriptors", u.descriptors, later.descriptors, 10},
	} {
		if part.after > part.before*11/10+part.slack {
			return fmt.Sprintf("%d %s, and %d before", part.after, part.what, part.before)
		}
	}
	return ""
}

// median is the median of each figure.
func median(of []usage) usage {
	middle := func(figure func(usage) int) int {
		values := make([]int, len(of))
		for i, u := range of {
			values[i] = figure(u)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return usage{
		residentMB:  middle(func(u usage) int { return u.residentMB }),
		goroutines:  middle(func(u usage) int { return u.goroutines }),
		descriptors: middle(func(u usage) int { return u.descriptors }),
	}
}

// longRun is a run without faults but restarts. The first server is never restarted, and must not grow.
type longRun struct {
	*site
	*world
	length time.Duration
	// parts are the samples of the first server, by the part of the run, and idle is the one after the work has ended.
	parts [windows][]usage
	idle  usage
}

// runLong has work done on three servers for a time, with rotations, waves of revocations and restarts of two of them.
func runLong(ctx context.Context, opts options, dir string, r *report) error {
	none, err := choosePlant("")
	if err != nil {
		return err
	}
	s, err := newSite(ctx, opts.binary, filepath.Join(dir, "replicated"), none)
	if err != nil {
		return err
	}
	defer s.close()
	l := &longRun{site: s, world: &world{replicas: s.replicas, model: newModel(), report: r}, length: opts.long}
	if err := l.run(ctx, opts.seed); err != nil {
		return err
	}
	l.judge()
	r.after = l.print
	return nil
}

func (l *longRun) run(ctx context.Context, seed int64) error {
	working, stop := context.WithTimeout(ctx, l.length)
	defer stop()
	var work sync.WaitGroup
	for i := range longWorkers {
		work.Go(func() { l.work(working, rand.New(rand.NewPCG(uint64(seed), uint64(i)+1))) })
	}
	work.Go(func() { l.sample(working) })
	err := l.disturbances(working, rand.New(rand.NewPCG(uint64(seed), 0)))
	stop()
	work.Wait()
	if err != nil {
		return err
	}
	if err := l.audit(ctx); err != nil {
		return err
	}
	pause(ctx, idleTime)
	l.idle, err = l.world.replicas[0].usage(ctx)
	return err
}

// disturbances are what happens besides the work. A history of etcd that nobody needs is removed, as its operator would.
func (l *longRun) disturbances(ctx context.Context, rnd *rand.Rand) error {
	for n := 0; ; n++ {
		pause(ctx, eventEvery)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the run is over
		}
		var err error
		switch n % 4 {
		case 0, 2:
			l.report.fault("wave")
			l.wave(ctx, rnd)
		case 1:
			l.report.fault("restart")
			err = l.restart(ctx, 1+n/4%(replicas-1), (*process).stop)
		case 3:
			l.report.fault("kill-replica")
			err = l.restart(ctx, 1+n/4%(replicas-1), (*process).kill)
			err = errors.Join(err, l.compact(ctx), l.audit(ctx))
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// restart ends a server and starts it again.
func (l *longRun) restart(ctx context.Context, which int, end func(*process)) error {
	r := l.world.replicas[which]
	defer disturb(r)()
	end(r.process)
	err := r.restart(ctx)
	for try := 1; errors.Is(err, errEnded) && try < restartTries; try++ {
		l.report.count("servers that ended at their start, and were started again")
		err = r.restart(ctx)
	}
	return err
}

// sample looks at the first server again and again. On a busy machine it may not answer now and then.
func (l *longRun) sample(ctx context.Context) {
	for began := time.Now(); ; {
		pause(ctx, sampleEvery)
		if ctx.Err() != nil {
			return
		}
		now, err := l.world.replicas[0].usage(ctx)
		switch {
		case err != nil:
			l.report.count("no answer, or ask again")
		default:
			part := min(int(windows*time.Since(began)/l.length), windows-1)
			l.parts[part] = append(l.parts[part], now)
		}
	}
}

// judge compares the last part of the run with the one before it.
func (l *longRun) judge() {
	before, last := l.parts[windows-2], l.parts[windows-1]
	if len(before) == 0 || len(last) == 0 {
		l.report.violation("the run was too short to tell whether the server grows")
		return
	}
	if grown := median(before).growth(median(last)); grown != "" {
		l.report.violation("%s grows: %s", l.world.replicas[0].name, grown)
	}
}

// print writes what the first server used.
func (l *longRun) print(out io.Writer) {
	fmt.Fprintf(out, "%s, which was not restarted:\n", l.world.replicas[0].name)
	fmt.Fprintf(out, "  %-24s %12s %12s %12s\n", "median of", "resident MB", "goroutines", "descriptors")
	row := func(name string, u usage) {
		fmt.Fprintf(out, "  %-24s %12d %12d %12d\n", name, u.residentMB, u.goroutines, u.descriptors)
	}
	for i, samples := range l.parts {
		if len(samples) > 0 {
			row(fmt.Sprintf("quarter %d", i+1), median(samples))
		}
	}
	row("when the work had ended", l.idle)
}

// usage asks the system and the server itself what the server uses.
func (r *replica) usage(ctx context.Context) (u usage, err error) {
	u.residentMB, u.descriptors, err = usedBy(r.process.cmd.Process.Pid)
	if err != nil {
		return u, err
	}
	text, err := r.client.text(ctx, "/metrics")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(text) {
		if _, err := fmt.Sscanf(line, "go_goroutines %d", &u.goroutines); err == nil {
			return u, nil
		}
	}
	return u, errors.New("/metrics does not tell the number of goroutines")
}
