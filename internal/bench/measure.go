package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

const (
	// floorName stands for the floor in results.
	floorName = "floor"
	// warmBodies is how many bodies there are for a warm-up whose requests have a body each.
	warmBodies = 500
	// spare is by how much more bodies are made than would be sent at the rate seen last.
	spare = 1.25
)

// plan says how long and how often is measured.
type plan struct {
	rounds       int
	window, warm time.Duration
	workers      int
}

// runner measures sites against the floor.
type runner struct {
	plan
	floor *floorProcess
	// floorRoots is how the floor is known.
	floorRoots *tls.Config
	sites      []*site
}

// trial is one scenario over one protocol.
type trial struct {
	plan
	scenario scenario
	protocol protocol
	// floor gets the requests of the first station.
	floor    *station
	stations []*station
}

// station is a server within a trial.
type station struct {
	name string
	pids []int
	// site is the server that gets the requests.
	site   *site
	client *client
	bodies [][]byte
	rate   float64
	rounds []round
}

// measure runs a scenario over one protocol. The floor's result comes first.
func (r *runner) measure(ctx context.Context, sc scenario, version protocol) ([]result, error) {
	t := &trial{plan: r.plan, scenario: sc, protocol: version}
	if sc.workers > 0 {
		t.workers = min(t.workers, sc.workers)
	}
	defer t.close()
	var results, impossible []result
	for _, s := range r.sites {
		if reason := sc.impossibleAt(s); reason != "" {
			impossible = append(impossible, result{scenario: sc, protocol: version, server: s.name, impossible: reason})
			continue
		}
		if err := r.connect(ctx, t, s); err != nil {
			return nil, fmt.Errorf("%s, %s over HTTP/%s: %w", sc.title, s.name, version, err)
		}
	}
	if err := t.run(ctx); err != nil {
		return nil, err
	}
	for _, st := range t.all() {
		memory, err := resident(st.pids...)
		if err != nil {
			return nil, err
		}
		results = append(results, result{scenario: sc, protocol: version, server: st.name, rounds: st.rounds, resident: memory})
	}
	return append(results, impossible...), nil
}

// connect adds a site to the trial, once it has given the answer that is expected. The floor gives that of the first.
func (r *runner) connect(ctx context.Context, t *trial, s *site) error {
	bodies, err := t.scenario.bodies(ctx, s, 1)
	if err != nil {
		return err
	}
	st, err := t.station(s.name, s.url, s, s.tls)
	if err != nil {
		return err
	}
	st.pids = s.pids
	t.stations = append(t.stations, st)
	sample, err := st.client.connect(ctx, bodies[0])
	if err != nil {
		return err
	}
	if err := t.scenario.check(s, sample.Body); err != nil {
		return err
	}
	if t.floor != nil {
		return nil
	}
	if err := r.floor.sends(sample); err != nil {
		return err
	}
	if t.floor, err = t.station(floorName, r.floor.url, s, r.floorRoots); err != nil {
		return err
	}
	t.floor.pids = []int{r.floor.pid}
	_, err = t.floor.client.connect(ctx, bodies[0])
	return err
}

// station returns a server that is known by the authority in roots, to be sent the requests of a site.
func (t *trial) station(name, url string, s *site, roots *tls.Config) (*station, error) {
	config := &tls.Config{RootCAs: roots.RootCAs, ServerName: roots.ServerName, MinVersion: tls.VersionTLS12}
	if t.scenario.byCertificate {
		config.Certificates = []tls.Certificate{*s.certificate}
	}
	c, err := newClient(url+t.scenario.pathAt(s), t.scenario.header(s), config, t.protocol, t.workers)
	if err != nil {
		return nil, err
	}
	c.status = t.scenario.status
	return &station{name: name, site: s, client: c}, nil
}

// all are the floor and the others, in the order in which they have their turns.
func (t *trial) all() []*station {
	if t.floor == nil {
		return nil
	}
	return append([]*station{t.floor}, t.stations...)
}

func (t *trial) close() {
	for _, st := range t.all() {
		st.client.close()
	}
}

// run has all servers warm up, and then gives each a window in every round.
func (t *trial) run(ctx context.Context) error {
	for n := range t.rounds + 1 {
		warming := n == 0
		length := t.window
		if warming {
			length = t.warm
		}
		if err := t.prepare(ctx, length); err != nil {
			return err
		}
		var floor round
		for _, st := range t.all() {
			seen, err := t.round(ctx, st, length)
			if err != nil {
				return fmt.Errorf("%s, %s over HTTP/%s: %w", t.scenario.title, st.name, t.protocol, err)
			}
			if st == t.floor {
				floor = seen
			}
			st.rate = seen.rate
			if !warming {
				st.rounds = append(st.rounds, seen.against(floor))
			}
		}
	}
	return nil
}

// prepare makes the bodies for the next turn of every server.
func (t *trial) prepare(ctx context.Context, length time.Duration) (err error) {
	for _, st := range t.stations {
		n := 1
		if t.scenario.fresh {
			n = warmBodies
		}
		if t.scenario.fresh && st.rate > 0 {
			n = t.workers + int(st.rate*length.Seconds()*spare)
		}
		if st.bodies, err = t.scenario.bodies(ctx, st.site, n); err != nil {
			return fmt.Errorf("%s, preparing requests for %s: %w", t.scenario.title, st.name, err)
		}
	}
	if t.floor != nil {
		t.floor.bodies = t.stations[0].bodies
	}
	return nil
}

// round gives a server its window.
func (t *trial) round(ctx context.Context, st *station, length time.Duration) (round, error) {
	runtime.GC() // of this process, which shares the processors with the servers under measurement
	before, err := readClocks(st.pids)
	if err != nil {
		return round{}, err
	}
	// The floor knows no tokens, and may see one again.
	seen, err := st.client.run(ctx, st.bodies, t.scenario.fresh && st != t.floor, length)
	if err != nil {
		return round{}, err
	}
	after, err := readClocks(st.pids)
	if err != nil {
		return round{}, err
	}
	for _, last := range seen.last {
		if err := t.scenario.check(st.site, last.Body); err != nil {
			return round{}, err
		}
	}
	n := len(seen.latencies)
	used := after.server - before.server
	if used == 0 {
		return round{}, errors.New("the window is too short to measure the CPU that is used in it")
	}
	return round{
		requests: n, rate: seen.rate(), cpu: used / time.Duration(n), others: after.others(before),
		p50: percentile(seen.latencies, 50), p99: percentile(seen.latencies, 99),
	}, nil
}

// clocks is the CPU used so far: by a server, by this process, and by all; all is how much there was.
type clocks struct{ server, self, busy, all time.Duration }

func readClocks(pids []int) (c clocks, err error) {
	if c.server, err = cpuTime(pids...); err != nil {
		return c, err
	}
	if c.self, err = cpuTime(os.Getpid()); err != nil {
		return c, err
	}
	c.all, c.busy, err = machineTime()
	return c, err
}

// others is which share of all processors went to others since.
func (c clocks) others(before clocks) float64 {
	all := c.all - before.all
	if all <= 0 {
		return 0
	}
	others := (c.busy - before.busy) - (c.server - before.server) - (c.self - before.self)
	// The kernel does not update all of its counters at the same moment.
	return max(0, float64(others)/float64(all))
}
