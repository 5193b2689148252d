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
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/view"
)

const (
	// gateWait is how long a request waits for the server to be ready. Most starts take less.
	gateWait = 2 * time.Second
	// gateRetryAfter is after how many seconds a client that was sent away should come back.
	gateRetryAfter = 1
)

// gate keeps requests from being decided by live views that say nothing or may be wrong: before the store has been read,
// and when the views are older than --max-staleness and the store does not prove them. "There is none" must not be the
// answer for "not read yet", nor an old yes that for "not known". Both transports are behind the gate, so this is the one
// place where that state is asked for.
//
// A request about resources waits for a moment and is then sent away with 503. Other requests (health, version, discovery,
// metrics, the issuer's documents) are answered before the server is ready, since their answers come from no view; but the
// permission may, so a refusal becomes a 503, too. Of old views only the documents that everybody may read are
// independent.
type gate struct {
	ready, stopping <-chan struct{}
	views           *view.Set
	resolver        genericapirequest.RequestInfoResolver
	next            http.Handler
}

// ServeHTTP passes requests on when the server is ready.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isInternal(r) {
		g.next.ServeHTTP(w, r)
		return
	}
	select {
	case <-g.ready:
		g.serveCurrent(w, r)
		return
	default:
	}
	info, err := g.resolver.NewRequestInfo(r)
	switch {
	case err == nil && !info.IsResourceRequest:
		g.next.ServeHTTP(&undecided{ResponseWriter: w, request: r, instead: func(status int) error {
			if status == http.StatusForbidden || status == http.StatusUnauthorized && hasToken(r) {
				return noVerdictYet(notReadYet)
			}
			return nil
		}}, r)
	case g.wait(r.Context()):
		g.serveCurrent(w, r)
	default:
		writeUndecided(w, r, noVerdictYet(notReadYet))
	}
}

// serveCurrent passes a request on if what memory says is within the bound, or the store proves it.
func (g *gate) serveCurrent(w http.ResponseWriter, r *http.Request) {
	if g.views.Current(g.views.Stamp()) || independent(r) {
		g.next.ServeHTTP(w, r)
		return
	}
	if err := g.views.Ensure(r.Context()); err != nil {
		klog.FromContext(r.Context()).V(2).Info("A request is not decided", "reason", err.Error())
		writeUndecided(w, r, noVerdictYet(notProved))
		return
	}
	g.next.ServeHTTP(w, r)
}

// independent reports whether the answer is the same whatever is stored: how the server is, which version it has, and the
// documents of the issuer.
func independent(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	root, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return slices.Contains(openPaths, "/"+root) || r.URL.Path == signingkey.ConfigurationPath || r.URL.Path == signingkey.KeySetPath
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

// Why there is no verdict.
const (
	notReadYet = "the server has not read all that is stored yet, please try again later"
	notProved  = "the server can't tell whether what it knows is still true, since the store does not answer; please try again later"
)

// noVerdictYet is the answer to a request that can't be decided now.
func noVerdictYet(why string) error {
	err := apierrors.NewServiceUnavailable(why)
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
