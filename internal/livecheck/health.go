package livecheck

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

const (
	// tolerated is how many failures in a row are no reason to hold calls back. No answer in time is one at once, since each such
	// call keeps a review waiting.
	tolerated = 2
	// firstPace and lastPace are for how long calls are held back, doubled with each failure.
	firstPace, lastPace = 500 * time.Millisecond, 10 * time.Second
	// setupPace is for how long a secret that can't be used is not read again. Its changes are noticed in any case.
	setupPace = 100 * time.Millisecond
)

// health is how the calls to a cluster went. While they are held back, what was to be asked gets the last failure at once. Then
// one call tries whether the cluster is back.
type health struct {
	// at is when the last call ended; zero if none did.
	at time.Time
	// last is why the last call failed; nil if it did not.
	last error
	// since is when that state began.
	since time.Time

	failures int
	open     bool // calls are held back
	until    time.Time
	probing  bool
}

// held reports whether no call may be made.
func (h *health) held(now time.Time) bool { return h.open && (h.probing || now.Before(h.until)) }

// probe begins a call, and reports whether it is the one that tries.
func (h *health) probe() bool {
	h.probing = h.open
	return h.open
}

// note notes the end of a call.
func (h *health) note(now time.Time, f *flight) {
	if f.probe {
		h.probing = false
	}
	err := f.err
	switch {
	case errors.Is(err, errCrowded): // no call was made
		return
	case err == nil || aboutTheToken(err):
		since := h.since
		if h.at.IsZero() || h.last != nil {
			since = now
		}
		*h = health{at: now, since: since}
		return
	}
	if h.last == nil {
		h.since = now
	}
	h.at, h.last = now, err
	if now.Before(h.until) {
		return // a call that was begun before
	}
	if _, ok := errors.AsType[*setupError](err); ok {
		h.open, h.until = true, now.Add(setupPace)
		return
	}
	if h.failures++; errors.Is(err, errSlow) {
		h.failures = max(h.failures, tolerated+1)
	}
	if h.failures <= tolerated {
		return
	}
	pace := min(firstPace<<min(h.failures-tolerated-1, 10), lastPace)
	h.open, h.until = true, now.Add(pace*4/5+rand.N(pace*2/5)) //nolint:gosec // G404: when a cluster is asked again is no secret
}

// aboutTheToken reports whether an error says something about the one token, such as that it is too long, and nothing about the
// cluster. Who has such a token must not keep others from being asked about.
func aboutTheToken(err error) bool {
	status, ok := errors.AsType[statusError](err)
	about := []int{
		http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge,
	}
	return ok && slices.Contains(about, int(status))
}
