package apiserver

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

const (
	// gateWait is how long a request waits for the server to be ready. Most starts take less.
	gateWait = 2 * time.Second
	// gateRetryAfter is after how many seconds a client that was sent away should come back.
	gateRetryAfter = 1
)

// gate keeps requests from being decided before the server is ready: the live views are empty until the store has been
// read, and "there is none" must not be the answer for "not read yet". Both transports are behind it, so this is the one
// place where that state is asked for.
//
// A request about resources waits for a moment and is then sent away with 503. Other requests (health, version, discovery,
// metrics, the issuer's documents) are answered, since their answers come from no view; but the permission may, so a
// refusal becomes a 503, too.
type gate struct {
	ready, stopping <-chan struct{}
	resolver        genericapirequest.RequestInfoResolver
	next            http.Handler
}

// ServeHTTP passes requests on when the server is ready.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-g.ready:
		g.next.ServeHTTP(w, r)
		return
	default:
	}
	info, err := g.resolver.NewRequestInfo(r)
	switch {
	case isInternal(r):
		g.next.ServeHTTP(w, r)
	case err == nil && !info.IsResourceRequest:
		g.next.ServeHTTP(&undecided{ResponseWriter: w, request: r, instead: func(status int) error {
			if status == http.StatusForbidden || status == http.StatusUnauthorized && hasToken(r) {
				return notReady()
			}
			return nil
		}}, r)
	case g.wait(r.Context()):
		g.next.ServeHTTP(w, r)
	default:
		writeUndecided(w, r, notReady())
	}
}

// wait reports whether the server is ready in time.
func (g *gate) wait(ctx context.Context) bool {
	timer := time.NewTimer(gateWait)
	defer timer.Stop()
	select {
	case <-g.ready:
		return true
	case <-timer.C:
	case <-g.stopping:
	case <-ctx.Done():
	}
	return false
}

// notReady says that there is no verdict yet.
func notReady() error {
	err := apierrors.NewServiceUnavailable("the server has not read all that is stored yet, please try again later")
	err.ErrStatus.Details = apierrors.NewTooManyRequests("", gateRetryAfter).ErrStatus.Details
	return err
}

// hasToken reports whether a request comes with a token, which may be one that only a view knows.
func hasToken(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("Sec-Websocket-Protocol") != ""
}

// openPaths are those that by default everybody may read.
var openPaths = []string{"/healthz", "/livez", "/readyz", "/version"}

// openUntilReady lets everybody read how the server is and which version it has while the roles that say so are not known
// yet. What starts or watches a server would otherwise take the refusal for its state.
func openUntilReady(next authorizer.Authorizer, ready <-chan struct{}) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if !a.IsResourceRequest() && a.GetVerb() == "get" && slices.Contains(openPaths, strings.TrimSuffix(a.GetPath(), "/")) {
			select {
			case <-ready:
			default:
				return authorizer.DecisionAllow, "allowed while the server starts", nil
			}
		}
		return next.Authorize(ctx, a)
	})
}
