package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is callers of one kind, with connections of their own.
type crowd struct {
	name    string
	dialers []*dialer
	// connections is how many there are, of all callers together.
	connections int
	// rate is how many requests a second are to be sent, whether others are answered or not. 0 means that each connection sends
	// the next request when it has the answer.
	rate float64
}

// outcome is what became of the requests of a crowd.
type outcome struct {
	name string
	// offered is how many were to be sent a second.
	offered float64
	length  time.Duration
	// unsent requests found no free connection.
	unsent, shed, withoutRetry, failed int
	// answered are the times of the requests that were not shed, sorted.
	answered []time.Duration
	// lastBad is when the last request began that was shed or took longer than a limit.
	lastBad time.Time
}

// lateness is how much later than planned a request may be sent. One that would be later is not sent.
const lateness = 20 * time.Millisecond

// open opens the connections of a crowd. Those that are open are returned with an error as well.
func (c *crowd) open(ctx context.Context) ([]connection, error) {
	connections := make([]connection, c.connections)
	var opening sync.WaitGroup
	errs := make([]error, len(connections))
	for i := range connections {
		opening.Go(func() { connections[i], errs[i] = c.dialers[i%len(c.dialers)].open(ctx) })
		if i%32 == 31 {
			opening.Wait()
		}
	}
	opening.Wait()
	connections = slices.DeleteFunc(connections, func(one connection) bool { return one == nil })
	return connections, errors.Join(errs...)
}

// send sends requests for a time.
func (c *crowd) send(ctx context.Context, connections []connection, length, slow time.Duration) *outcome {
	parts := make([]*outcome, len(connections))
	var next, unsent atomic.Int64
	began := time.Now()
	var sending sync.WaitGroup
	for i := range connections {
		parts[i] = &outcome{}
		sending.Go(func() {
			for {
				if c.rate > 0 {
					planned := began.Add(time.Duration(float64(next.Add(1)-1) / c.rate * float64(time.Second)))
					if planned.After(began.Add(length)) {
						return
					}
					wait := time.Until(planned)
					if wait < -lateness {
						unsent.Add(1)
						continue
					}
					time.Sleep(wait)
				}
				if time.Since(began) > length || ctx.Err() != nil {
					return
				}
				parts[i].one(ctx, connections[i], c.dialers[i%len(c.dialers)].status, slow)
			}
		})
	}
	sending.Wait()
	all := &outcome{name: c.name, offered: c.rate, length: time.Since(began), unsent: int(unsent.Load())}
	for _, part := range parts {
		all.add(part)
	}
	slices.Sort(all.answered)
	return all
}

func (o *outcome) one(ctx context.Context, over connection, want int, slow time.Duration) {
	began := time.Now()
	status, retry, err := over.send(ctx)
	took := time.Since(began)
	switch {
	case err != nil:
		o.failed++
	case status == http.StatusTooManyRequests:
		o.shed++
		if !retry {
			o.withoutRetry++
		}
	case status != want:
		o.failed++
	default:
		o.answered = append(o.answered, took)
		if took < slow {
			return
		}
	}
	o.lastBad = began
}

func (o *outcome) add(part *outcome) {
	o.shed += part.shed
	o.withoutRetry += part.withoutRetry
	o.failed += part.failed
	o.answered = append(o.answered, part.answered...)
	if part.lastBad.After(o.lastBad) {
		o.lastBad = part.lastBad
	}
}

// together has several crowds send at the same time, over connections that are open before. An answer that takes longer than slow
// counts as bad.
func together(ctx context.Context, length, slow time.Duration, crowds ...*crowd) ([]*outcome, error) {
	opened := make([][]connection, len(crowds))
	for i, c := range crowds {
		var err error
		opened[i], err = c.open(ctx)
		for _, one := range opened[i] {
			defer one.close()
		}
		if err != nil {
			return nil, err
		}
	}
	outcomes := make([]*outcome, len(crowds))
	var running sync.WaitGroup
	for i, c := range crowds {
		running.Go(func() { outcomes[i] = c.send(ctx, opened[i], length, slow) })
	}
	running.Wait()
	return outcomes, nil
}
