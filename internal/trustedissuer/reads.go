package trustedissuer

import (
	"context"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/reason"
)

const (
	// mostNeeded is how many issuers are read at a time because a token needs a key, and mostScheduled how many on schedule. The
	// two are counted apart, so that no token waits for the schedule.
	mostNeeded, mostScheduled = 128, 8
	// usualWaiting is how many reviews wait for keys at a time.
	usualWaiting = 64
	// issuerShare is the part of them that may wait for one issuer.
	issuerShare = 2
)

// reads are the places for reads of keys, and for reviews that wait for one.
type reads struct {
	lifetime  context.Context //nolint:containedctx // reads go on when the review that began one has ended
	cancel    context.CancelFunc
	needed    chan struct{}
	scheduled chan struct{}
	waiting   chan struct{}
	own       *series
}

func (r *reads) init(waiting int) {
	if waiting == 0 {
		waiting = usualWaiting
	}
	r.lifetime, r.cancel = context.WithCancel(context.Background())
	r.needed, r.scheduled = make(chan struct{}, mostNeeded), make(chan struct{}, mostScheduled)
	r.waiting = make(chan struct{}, waiting)
	r.own = registered()
}

func (r *reads) end() { r.cancel() }

func (r *reads) places(scheduled bool) chan struct{} {
	if scheduled {
		return r.scheduled
	}
	return r.needed
}

// begin takes a place for a read, and reports whether there was one.
func (r *reads) begin(scheduled bool) bool {
	select {
	case r.places(scheduled) <- struct{}{}:
		return true
	default:
		return false
	}
}

func (r *reads) finish(scheduled bool) { <-r.places(scheduled) }

// unavailable is an error that is no verdict: the client is told to try again.
type unavailable struct{ error }

// Unavailable marks an error that is not a refusal.
func (unavailable) Unavailable() {}

// Unwrap returns the cause.
func (u unavailable) Unwrap() error { return u.error }

// Status is the error as the API has it.
func (u unavailable) Status() metav1.Status {
	return metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable,
		Message: u.Error(), Details: &metav1.StatusDetails{RetryAfterSeconds: 1},
	}
}

// waitFor waits until a read is done. A read that takes longer than reviews wait holds none of them up.
func (r *reads) waitFor(ctx context.Context, of *reading) error {
	left := patience - time.Since(of.begun)
	if left <= 0 {
		return reason.With(reason.IssuerUnavailable, errSlow)
	}
	defer of.waiting.Add(-1)
	if of.waiting.Add(1) > int32(cap(r.waiting)+1)/issuerShare {
		return unavailable{errCrowded}
	}
	select {
	case r.waiting <- struct{}{}:
		defer func() { <-r.waiting }()
	default:
		return unavailable{errCrowded}
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-of.done:
		return nil
	case <-timer.C:
		return reason.With(reason.IssuerUnavailable, errSlow)
	case <-ctx.Done():
		return ctx.Err()
	}
}
