package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// fault is something that happens to a site.
type fault struct {
	name string
	// inject makes it happen, calls middle once in the midst of it, and returns when it is over and everything answers.
	inject func(ctx context.Context, f *injection) error
}

// injection is what a fault is injected with.
type injection struct {
	*site
	*world
	rnd *rand.Rand
	// middle makes a rotation and a wave of revocations.
	middle func()
}

// disturb notes that a fault concerns replicas. The function that it returns notes the end.
func disturb(replicas ...*replica) func() {
	var ends []func()
	for _, r := range replicas {
		ends = append(ends, r.disturb())
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// embeddedScenario is the name of the faults of a server with its own store, which have a site of their own.
const embeddedScenario = "embedded"

type choice struct {
	replicated []fault
	embedded   bool
}

// chooseFaults reads the names of faults. None are all.
func chooseFaults(only string) (choice, error) {
	if only == "" {
		return choice{faults, true}, nil
	}
	var c choice
	for name := range strings.SplitSeq(only, ",") {
		if name == embeddedScenario {
			c.embedded = true
			continue
		}
		i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		if i < 0 {
			return c, fmt.Errorf("there is no fault %q; there are %s, %s", name, strings.Join(faultNames(), ", "), embeddedScenario)
		}
		c.replicated = append(c.replicated, faults[i])
	}
	return c, nil
}

// runReplicated injects faults into three servers over three etcd members, each of them once and then again until the time
// is over.
func runReplicated(ctx context.Context, opts options, chosen []fault, plant *plant, dir string, r *report) error {
	s, err := newSite(ctx, opts.binary, dir, plant)
	if err != nil {
		return err
	}
	defer s.close()
	w := &world{replicas: s.replicas, model: newModel(), report: r}
	order := rand.New(rand.NewPCG(uint64(opts.seed), 0))
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	for i := range workers {
		rnd := rand.New(rand.NewPCG(uint64(opts.seed), uint64(i)+1))
		work.Go(func() { w.work(working, rnd) })
	}
	inject := func(f fault) error {
		r.fault(f.name)
		i := &injection{site: s, world: w, rnd: order}
		i.middle = func() { w.wave(ctx, order) }
		if err := f.inject(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		pause(ctx, settleTime+time.Duration(order.IntN(2000))*time.Millisecond)
		return w.audit(ctx)
	}
	pause(ctx, settleTime)
	for began := time.Now(); ; {
		for _, i := range order.Perm(len(chosen)) {
			if time.Since(began) > opts.length && r.complete(chosen) || ctx.Err() != nil {
				return ctx.Err()
			}
			if err := inject(chosen[i]); err != nil {
				return err
			}
		}
	}
}
