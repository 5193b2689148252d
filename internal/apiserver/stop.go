package apiserver

import (
	"context"
	"net/http"
	"time"

	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/mintmark/mintmark/internal/revocation"
)

// watchEnd ends the watches when the server stops, which would otherwise wait for them for a minute. The library ends
// watches only with a grace period, and never those over a WebSocket. It also ends those of a client certificate that is revoked.
type watchEnd struct {
	longRunning genericapirequest.LongRunningRequestCheck
	// due is done when the watches have to end.
	due context.Context
	end context.CancelFunc
	// after is how long after the stop has begun that is: as long as new requests are taken, and the grace period.
	after time.Duration
	// stopping is closed when the stop begins.
	stopping <-chan struct{}
	revoked  *revocation.Set
}

func newWatchEnd(server *genericoptions.ServerRunOptions, longRunning genericapirequest.LongRunningRequestCheck, revoked *revocation.Set,
	stopping <-chan struct{},
) *watchEnd {
	e := &watchEnd{
		longRunning: longRunning,
		after:       server.ShutdownDelayDuration + server.ShutdownWatchTerminationGracePeriod,
		stopping:    stopping,
		revoked:     revoked,
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
		due, done := e.dueFor(r.Context())
		defer done()
		ended := make(chan struct{})
		stop := context.AfterFunc(due, func() {
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

// dueFor returns a context that is done when the request of a context has to end, unless it is over.
func (e *watchEnd) dueFor(request context.Context) (due context.Context, over func()) {
	caller, _ := genericapirequest.UserFrom(request)
	certified, ok := caller.(interface {
		Certificate() (commonName string, issuedAt int64)
	})
	if !ok {
		return e.due, func() {}
	}
	due, end := context.WithCancel(e.due)
	name, issuedAt := certified.Certificate()
	done := e.revoked.WhileUnrevoked(name, issuedAt, end)
	return due, func() {
		done()
		end()
	}
}

// writeGrace is how long the last event of a watch may take to be written.
const writeGrace = time.Second
