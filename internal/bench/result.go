package main

import "time"

// round is one window of one server.
type round struct {
	requests int
	rate     float64       // requests a second
	cpu      time.Duration // for a request
	p50, p99 time.Duration
	// others is the share of the machine's processors that went to neither the server nor this process.
	others float64
	// extra is cpu without that of the floor in the same round, and ratio is cpu divided by it.
	extra time.Duration
	ratio float64
}

// against returns the round compared with that of the floor.
func (r round) against(floor round) round {
	r.extra = r.cpu - floor.cpu
	r.ratio = float64(r.cpu) / float64(floor.cpu)
	return r
}

// result holds all rounds of a scenario with one server.
type result struct {
	scenario scenario
	protocol protocol
	server   string
	rounds   []round
	resident int64 // bytes, after the last round
	// impossible says why nothing was measured.
	impossible string
}

// typical is the round whose every figure is the median of that figure in all rounds.
func (r result) typical() round {
	middle := func(figure func(round) float64) float64 {
		values := make([]float64, len(r.rounds))
		for i, one := range r.rounds {
			values[i] = figure(one)
		}
		return median(values)
	}
	return round{
		requests: int(middle(func(r round) float64 { return float64(r.requests) })),
		rate:     middle(func(r round) float64 { return r.rate }),
		cpu:      time.Duration(middle(func(r round) float64 { return float64(r.cpu) })),
		p50:      time.Duration(middle(func(r round) float64 { return float64(r.p50) })),
		p99:      time.Duration(middle(func(r round) float64 { return float64(r.p99) })),
		extra:    time.Duration(middle(func(r round) float64 { return float64(r.extra) })),
		others:   middle(func(r round) float64 { return r.others }),
		ratio:    middle(func(r round) float64 { return r.ratio }),
	}
}
