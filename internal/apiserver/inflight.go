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
)

// inFlight limits the number of requests in flight, with one limit for reading requests and one for mutating requests. Both
// transports keep it; the library's own limit is a filter of its chain, which the fast path doesn't pass.
type inFlight struct {
	reading, mutating *limit
	longRunning       genericapirequest.LongRunningRequestCheck
}

// newInFlight returns the limits of a configuration, and takes them from it.
func newInFlight(c *genericapiserver.Config) *inFlight {
	f := &inFlight{
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
		l, mutates := f.mutating, true
		if slices.Contains([]string{"get", "list", "watch"}, info.Verb) {
			l, mutates = f.reading, false
		}
		switch {
		case l.Begin():
			defer l.End()
			next.ServeHTTP(w, r)
		case privileged(r.Context()):
			next.ServeHTTP(w, r)
		default:
			metrics.RecordDroppedRequest(r, info, metrics.APIServerComponent, mutates)
			metrics.RecordRequestTermination(r, info, metrics.APIServerComponent, http.StatusTooManyRequests)
			w.Header().Set("Retry-After", "1")
			http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
		}
	})
}

func privileged(ctx context.Context) bool {
	caller, ok := genericapirequest.UserFrom(ctx)
	return ok && slices.Contains(caller.GetGroups(), user.SystemPrivilegedGroup)
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
