package apiserver

import (
	"context"
	"net"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/internal/fastpath"
	"github.com/mintmark/mintmark/internal/flowcontrol"
)

// The costs of requests, in token reviews.
const (
	fastCost    = 1
	genericCost = 8
)

// turns has the requests from outside wait for their turn while there are more than the processors can answer. Members of
// system:masters never wait.
type turns struct {
	*flowcontrol.Turns
	cost int
}

// newTurns returns the turns at the processors, or none. Their metrics are there in any case.
func newTurns(cfg Config) (*flowcontrol.Turns, error) {
	flowcontrol.Register()
	if !cfg.ShedLoad || !cfg.OwnProcess {
		return nil, nil //nolint:nilnil // nil gives all requests their turn at once
	}
	return flowcontrol.New()
}

// Known returns when a request of a known caller may go on. It reports false for one that is to be shed.
func (t turns) Known(ctx context.Context, caller user.Info) bool {
	return t.AtOnce() || privileged(caller) || t.Wait(ctx, caller.GetName(), t.cost)
}

// charge notes that the request of a caller is dearer by so much than it was taken to be when it had its turn.
func (t turns) charge(caller user.Info, cost int) {
	if caller != nil && !privileged(caller) {
		t.Charge(caller.GetName(), cost)
	}
}

// Unknown returns when a request may be answered whose caller is not known. All from one host are in one line. How long they
// have waited does not matter: the answer is short.
func (t turns) Unknown(r *http.Request) {
	if !t.AtOnce() {
		t.Wait(r.Context(), callerAt(r), t.cost)
	}
}

// delayRefused wraps the authorizer of the library's chain: a request that the caller may not make takes its turn before it is
// refused, unless it had one.
func delayRefused(next authorizer.Authorizer, t turns) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		decision, reason, err := next.Authorize(ctx, a)
		if decision != authorizer.DecisionAllow && a.GetUser() != nil && !fastpath.HadTurn(ctx) {
			t.Known(ctx, a.GetUser())
		}
		return decision, reason, err
	})
}

// callerAt is the name of the line of callers that are not known. No user has a name like that.
func callerAt(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr) // there is one line more for addresses without a port
	return "\x00" + host
}

// delayUnknown wraps the authenticator of the library's chain: requests with wrong credentials take turns before they are
// refused.
func delayUnknown(next authenticator.Request, t turns) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := next.AuthenticateRequest(r)
		if !ok || err != nil {
			t.Unknown(r)
		}
		return response, ok, err
	})
}
