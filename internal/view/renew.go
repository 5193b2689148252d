package view

import (
	"context"
	"errors"
	"time"
)

const (
	// firstGlance and lastGlance are the pauses between looks at whether the watch of a view has brought everything, and askAgain
	// from which pause on the store is asked again to say so.
	firstGlance, lastGlance, askAgain = time.Millisecond, 128 * time.Millisecond, 16 * time.Millisecond
)

// errUnread is the cause when a view has not been read yet.
var errUnread = errors.New("not read yet")

// Renew returns when a view of the set has everything that was acknowledged before the call, whoever wrote it. It takes one read of
// the store's version, and a message on the view's watch if other resources were written since. The error is Unavailable.
func (s *Set) Renew(ctx context.Context, v Follower) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	answer, err := get(ctx, s.store, probeKey, readTimeout)
	switch {
	case err != nil:
		return &Unavailable{v.Resource(), err}
	case v.provedAt() == 0:
		return &Unavailable{v.Resource(), errUnread}
	}
	version := uint64(answer.Header.Revision)
	for pause := firstGlance; v.reachedVersion() < version; pause = min(2*pause, lastGlance) {
		if pause == firstGlance || pause >= askAgain {
			watched, _ := s.stream(ctx, v.Resource())
			_ = s.store.RequestProgress(watched) // without an answer the view stays as old as it is
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return &Unavailable{v.Resource(), context.Cause(ctx)}
		}
	}
	return nil
}
