package authn

import (
	"context"
	"slices"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/reason"
)

// authenticated returns an authenticated user with the group system:authenticated.
func authenticated(u user.Info) *user.DefaultInfo {
	groups := slices.Clip(u.GetGroups())
	if !slices.Contains(groups, user.AllAuthenticated) {
		groups = slices.Clip(append(groups, user.AllAuthenticated))
	}
	return &user.DefaultInfo{Name: u.GetName(), UID: u.GetUID(), Groups: groups, Extra: u.GetExtra()}
}

// withAuthenticatedGroup adds the group system:authenticated, as the library's group adder does for requests.
type withAuthenticatedGroup struct{ tokens Explainer }

// AuthenticateToken returns whose a token is.
func (w withAuthenticatedGroup) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	response, err := w.Explain(ctx, token, nil)
	return response, err == nil, err
}

// Explain does the same.
func (w withAuthenticatedGroup) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	response, err := w.tokens.Explain(ctx, token, notes)
	if err != nil {
		return nil, err
	}
	groups := response.User.GetGroups()
	if response.User.GetName() == user.Anonymous || slices.Contains(groups, user.AllAuthenticated) ||
		slices.Contains(groups, user.AllUnauthenticated) {
		return response, nil
	}
	with := *response
	with.User = authenticated(response.User)
	return &with, nil
}
