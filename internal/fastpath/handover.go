package fastpath

import (
	"context"
	"net/http"
	"sync/atomic"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/warning"
)

// authentication is the result of authentication for a request that is handed over.
type authentication struct {
	caller
	// turn says that the request had its turn.
	turn  bool
	taken atomic.Bool
}

// authenticationKey is the key of an authentication in a context.
type authenticationKey struct{}

// handOver returns a context with the result of authentication, if there is one.
func (c *call) handOver(ctx context.Context) context.Context {
	if c.caller.at.IsZero() {
		return ctx
	}
	return context.WithValue(ctx, authenticationKey{}, &authentication{caller: c.caller, turn: c.decision.attributes.User != nil})
}

// OncePerRequest wraps the authenticator of the generic chain. A request that the fast path hands over is not authenticated
// again: the result is the one that the fast path got, be it a success, a refusal or a failure. Any other request goes to
// next.
func OncePerRequest(next authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		known, ok := r.Context().Value(authenticationKey{}).(*authentication)
		// It counts once: a later request whose context derives from this one has a caller of its own.
		if !ok || known.taken.Swap(true) {
			return next.AuthenticateRequest(r)
		}
		for _, w := range known.warnings {
			warning.AddWarning(r.Context(), w.agent, w.text)
		}
		audit.AddAuditAnnotationsMap(r.Context(), known.annotations)
		return known.response, known.ok, known.err
	})
}

// HadTurn reports whether the request of a context had its turn on the fast path.
func HadTurn(ctx context.Context) bool {
	known, ok := ctx.Value(authenticationKey{}).(*authentication)
	return ok && known.turn
}

// warnings are the warnings about a request.
type warnings []struct{ agent, text string }

// AddWarning adds one.
func (w *warnings) AddWarning(agent, text string) {
	*w = append(*w, struct{ agent, text string }{agent, text})
}
