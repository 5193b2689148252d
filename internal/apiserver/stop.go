package apiserver

import (
	"context"
	"net/http"
	"time"

	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericoptions "k8s.io/apiserver/pkg/server/options"
)

// watchEnd ends the watches when the server stops, which would otherwise wait for them for a minute. The library ends
// watches only with a grace period, and never those over a WebSocket.
type watchEnd struct {
	longRunning genericapirequest.LongRunningRequestCheck
	// due is done when the watches have to end.
	due context.Context
	end context.CancelFunc
	// after is how long after the stop has begun that is: as long as new requests are taken, and the grace period.
	after time.Duration
	// stopping is closed when the stop begins.
	stopping <-chan struct{}
}

func newWatchEnd(server *genericoptions.ServerRunOptions, longRunning genericapirequest.LongRunningRequestCheck, stopping <-chan struct{}) *watchEnd {
	e := &watchEnd{
		longRunning: longRunning,
		after:       server.ShutdownDelayDuration + server.ShutdownWatchTerminationGracePeriod,
		stopping:    stopping,
	}
	e.due, e.end = context.WithCancel(context.Background())
	return e
}

// run ends the watches in time.
func (e *watchEnd) run(ctx context.Context) {
	defer e.end()
	select {
	case <-e.stopping:
	case <-ctx.Done():
		return
	}
	select {
	case <-time.After(e.after):
	case <-ctx.Done():
	}
}

// handler ends those requests to a handler that go on for long. A client that doesn't read is not waited for.
func (e *watchEnd) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, ok := genericapirequest.RequestInfoFrom(r.Context()); !ok || !e.longRunning(r, info) {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		ended := make(chan struct{})
		stop := context.AfterFunc(e.due, func() {
			defer close(ended)
			cancel()
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeGrace)) // one that has none is not written to
		})
		defer func() {
			// A response must not be touched any more when its handler has returned.
			if !stop() {
				<-ended
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// writeGrace is how long the last event of a watch may take to be written.
const writeGrace = time.Second
