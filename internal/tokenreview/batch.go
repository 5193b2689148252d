package tokenreview

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/audittrail"
	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

// Result is the result of one review of many: a verdict, or why there is none.
type Result struct {
	Verdict Verdict
	Err     error
	begun   view.Stamp
}

// none reports whether there is no result yet.
func (r *Result) none() bool { return r.Err == nil && r.Verdict.Reason == reason.None }

const (
	// patience is how long a batch waits for one review before it decides more than one at a time.
	patience = 2 * time.Millisecond
	// maxWorkers is how many reviews of a batch may wait for others at a time, such as for an issuer.
	maxWorkers = 32
	// answering is the part of the time of a request that is kept for the answer, at most maxAnswering.
	answering, maxAnswering = 10, time.Second
)

// DecideAll returns the results of many reviews, in their order. Each is decided as Decide does it. Reviews whose turn has not come
// when the request has to be answered have no verdict. Where the results become an answer, they are to be counted.
//
// Nearly all reviews are decided in memory, so they are decided one after the other. If one of them waits, others are decided
// meanwhile.
func (r *Reviewer) DecideAll(ctx context.Context, specs []authenticationv1.TokenReviewSpec) []Result {
	within := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		within, cancel = context.WithDeadline(ctx, end.Add(-min(time.Until(end)/answering, maxAnswering)))
		defer cancel()
	}
	b := &batch{reviewer: r, ctx: within, specs: specs, begun: r.stamp(), finished: make(chan struct{}), results: make([]Result, len(specs))}
	results := b.run()
	b.renew(ctx, results)
	if r.Audited {
		noteAll(ctx, results)
	}
	return results
}

// CountAll counts reviews whose results are an answer.
func CountAll(results []Result) {
	for i := range results {
		if code := results[i].Verdict.Reason; code != reason.None {
			Count(code)
		}
	}
}

// noteAll annotates the audit event of a batch.
func noteAll(ctx context.Context, results []Result) {
	var accepted, refused int
	for i := range results {
		switch {
		case results[i].Err != nil:
		case results[i].Verdict.User != nil:
			accepted++
		default:
			refused++
		}
	}
	audittrail.NoteReviews(ctx, accepted, refused, len(results)-accepted-refused)
}

// batch is many reviews on their way.
type batch struct {
	reviewer *Reviewer
	ctx      context.Context
	specs    []authenticationv1.TokenReviewSpec
	begun    view.Stamp
	// next is the place of the review whose turn is next.
	next     atomic.Int64
	finished chan struct{}

	mu      sync.Mutex
	results []Result // not written after ended
	done    int
	ended   bool
}

// run has the reviews decided, and returns the results when all are there or the time is over. The goroutine of the request decides
// them, as it does a single review, unless it has to wait for one.
func (b *batch) run() []Result {
	help := time.AfterFunc(patience, b.help)
	defer help.Stop()
	b.work()
	select {
	case <-b.finished:
	case <-b.ctx.Done():
	}
	return b.end()
}

// help has more goroutines decide reviews whenever none has been decided for a while.
func (b *batch) help() {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	workers, before := 1, 0
	for {
		select {
		case <-b.finished:
			return
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		done := b.progress()
		if done == before && int(b.next.Load()) < len(b.specs) {
			for range min(workers, maxWorkers-workers) {
				workers++
				go b.work()
			}
		}
		before = done
	}
}

func (b *batch) progress() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done
}

// end returns the results, which no late verdict changes any more.
func (b *batch) end() []Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	for i := range b.results {
		if b.results[i].none() {
			b.results[i] = late()
		}
	}
	return b.results
}

// renew decides the reviews again whose verdicts got too old while others were waited for, in the time that is kept for the answer.
func (b *batch) renew(ctx context.Context, results []Result) {
	if b.reviewer.current(b.begun) {
		return
	}
	for i := range results {
		if results[i].Verdict.User != nil && !b.reviewer.current(results[i].begun) {
			asked := b.reviewer.asked(&b.specs[i])
			results[i] = b.decide(asking(ctx, asked), b.specs[i].Token, asked)
			if results[i].Verdict.User != nil && !b.reviewer.current(results[i].begun) {
				results[i] = Result{Verdict: Verdict{Reason: reason.Undecided}, Err: errOld}
			}
		}
	}
}

// late is the result of a review that there was no time for.
func late() Result {
	return Result{Verdict: Verdict{Reason: reason.Undecided}, Err: apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)}
}

// work decides reviews as long as there are any.
func (b *batch) work() {
	var asked authenticator.Audiences
	ctx := asking(b.ctx, nil)
	for {
		i := int(b.next.Add(1)) - 1
		if i >= len(b.specs) || b.ctx.Err() != nil {
			return
		}
		// Most reviews of a batch ask for the same audiences.
		if audiences := b.reviewer.asked(&b.specs[i]); !slices.Equal(audiences, asked) {
			asked, ctx = audiences, asking(b.ctx, audiences)
		}
		b.put(i, b.decide(ctx, b.specs[i].Token, asked))
	}
}

// decide decides one review. A verdict that comes too late is none, and a panic ends only this review.
func (b *batch) decide(ctx context.Context, token string, asked authenticator.Audiences) (result Result) {
	if token == "" {
		return Result{Err: errNoToken()}
	}
	defer func() {
		if value := recover(); value != nil {
			crash.Recovered(value).Log(b.ctx, "An authenticator panicked")
			result = Result{Verdict: Verdict{Reason: reason.Undecided}, Err: apierrors.NewInternalError(errors.New("authentication failed unexpectedly"))}
		}
	}()
	result.begun = b.reviewer.stamp()
	result.Verdict, result.Err = b.reviewer.anyAge(ctx, token, asked, nil)
	if ctx.Err() != nil {
		return late()
	}
	return result
}

func (b *batch) put(i int, result Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	b.results[i] = result
	if b.done++; b.done == len(b.specs) {
		close(b.finished)
	}
}
