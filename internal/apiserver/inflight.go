package apiserver

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/metrics"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/fastpath"
	"github.com/mintmark/mintmark/internal/flowcontrol"
)

// inFlight limits the number of requests in flight, with one limit for reading requests and one for mutating requests. Both
// transports keep it; the library's own limit is a filter of its chain, which the fast path doesn't pass.
type inFlight struct {
	reading, mutating *limit
	longRunning       genericapirequest.LongRunningRequestCheck
	// turns are those of the requests that do not come from the fast path.
	turns turns
}

// newInFlight returns the limits of a configuration, and takes them from it.
func newInFlight(c *genericapiserver.Config, order *flowcontrol.Turns) *inFlight {
	f := &inFlight{
		turns:       turns{order, genericCost},
		reading:     newLimit(c.MaxRequestsInFlight),
		mutating:    newLimit(c.MaxMutatingRequestsInFlight),
		longRunning: c.LongRunningFunc,
	}
	c.MaxRequestsInFlight, c.MaxMutatingRequestsInFlight = 0, 0
	return f
}

// limit is a number of requests.
type limit struct {
	places chan struct{} // nil means any number
	peak   atomic.Int64
}

func newLimit(places int) *limit {
	l := &limit{}
	if places > 0 {
		l.places = make(chan struct{}, places)
	}
	return l
}

// Begin reports whether one more request may be answered. If so, End ends it.
func (l *limit) Begin() bool {
	if l.places == nil {
		return true
	}
	select {
	case l.places <- struct{}{}:
	default:
		return false
	}
	now := int64(len(l.places))
	for {
		before := l.peak.Load()
		if before >= now || l.peak.CompareAndSwap(before, now) {
			return true
		}
	}
}

// End ends a request.
func (l *limit) End() {
	if l.places != nil {
		<-l.places
	}
}

// limited holds the generic chain to the limits. Long-running requests and the server's own don't count, and members of
// system:masters are always answered. The answer to requests above a limit is kube-apiserver's.
func (f *inFlight) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := genericapirequest.RequestInfoFrom(r.Context())
		if !ok || isInternal(r) || f.longRunning(r, info) {
			next.ServeHTTP(w, r)
			return
		}
		caller, known := genericapirequest.UserFrom(r.Context())
		l := f.mutating
		if reads(info) {
			l = f.reading
		}
		switch {
		case !f.turn(r, caller):
			tooMany(w, r, info)
		case l.Begin():
			defer l.End()
			next.ServeHTTP(w, r)
		case known && privileged(caller):
			next.ServeHTTP(w, r)
		default:
			tooMany(w, r, info)
		}
	})
}

// turn returns when a request may go on. It reports false for one that is to be shed. How the server is, everybody may ask at
// any time.
func (f *inFlight) turn(r *http.Request, caller user.Info) bool {
	switch {
	case fastpath.HadTurn(r.Context()) || independent(r):
		return true
	case caller == nil || caller.GetName() == user.Anonymous:
		return f.turns.AtOnce() || f.turns.Wait(r.Context(), callerAt(r), f.turns.cost)
	}
	return f.turns.Known(r.Context(), caller)
}

func reads(info *genericapirequest.RequestInfo) bool {
	return slices.Contains([]string{"get", "list", "watch"}, info.Verb)
}

// tooMany has a caller try again later.
func tooMany(w http.ResponseWriter, r *http.Request, info *genericapirequest.RequestInfo) {
	metrics.RecordDroppedRequest(r, info, metrics.APIServerComponent, !reads(info))
	metrics.RecordRequestTermination(r, info, metrics.APIServerComponent, http.StatusTooManyRequests)
	w.Header().Set("Retry-After", "1")
	http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
}

func privileged(caller user.Info) bool {
	return slices.Contains(caller.GetGroups(), user.SystemPrivilegedGroup)
}

// inFlightHook is the library's name for the hook that measures its own limits. The measuring of ours takes its place.
const inFlightHook = "max-in-flight-filter"

// measure sets apiserver_current_inflight_requests to the peak of each second.
func (f *inFlight) measure(hook genericapiserver.PostStartHookContext) error {
	go crash.Keep(hook, func(ctx context.Context) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			metrics.UpdateInflightRequestMetrics(metrics.ExecutingPhase, int(f.reading.peak.Swap(0)), int(f.mutating.peak.Swap(0)))
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
}
