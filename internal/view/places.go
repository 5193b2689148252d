package view

import (
	"context"
	"time"
)

// maxReads is how many objects are read from the store at a time at most, and how many reads may wait for their turn.
const maxReads = 64

// places are those for reads of objects. Reads, and those that wait, hold up a part of the requests that are answered at a
// time, so that a store that hangs leaves places to requests that are answered from memory.
type places struct{ reading, waiting chan struct{} }

// newPlaces returns the places for reads of a server that answers so many requests at a time; 0 is any number. Two thirds of
// the requests may read or wait.
func newPlaces(requests int) *places {
	reading, waiting := maxReads, maxReads
	if requests > 0 {
		reading, waiting = min(maxReads, max(1, requests/3)), min(maxReads, requests/3)
	}
	return &places{make(chan struct{}, reading), make(chan struct{}, waiting)}
}

// begin takes a place for a read, and reports whether there is one in time. If too many wait already, there is none.
func (p *places) begin(ctx context.Context) bool {
	select {
	case p.reading <- struct{}{}:
		return true
	default:
	}
	select {
	case p.waiting <- struct{}{}:
		defer func() { <-p.waiting }()
	default:
		return false
	}
	select {
	case p.reading <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// end gives a place back.
func (p *places) end() { <-p.reading }

// LimitReads has the reads of all views leave places to other requests, of so many that are answered at a time. It is to be
// called before the first read.
func (s *Set) LimitReads(requests int) { *s.reads = *newPlaces(requests) }

// ReadsEndKey is the key under which the context of a request may have the time.Time at which the last read that is made for
// it ends. A request that is tried again, in another way, has no further time for a store that hangs.
type ReadsEndKey struct{}

// ReadsEnd returns when the reads for a request end that came at a time.
func ReadsEnd(came time.Time) time.Time { return came.Add(readTimeout) }

// limited bounds the time of a read.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Value(ReadsEndKey{}).(time.Time); ok {
		return context.WithDeadline(ctx, end)
	}
	return context.WithTimeout(ctx, readTimeout)
}
