package authn

import (
	"context"
	"slices"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
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
func withAuthenticatedGroup(tokens authenticator.Token) authenticator.Token {
	return authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		response, ok, err := tokens.AuthenticateToken(ctx, token)
		if err != nil || !ok {
			return nil, ok, err
		}
		groups := response.User.GetGroups()
		if response.User.GetName() == user.Anonymous || slices.Contains(groups, user.AllAuthenticated) ||
			slices.Contains(groups, user.AllUnauthenticated) {
			return response, true, nil
		}
		with := *response
		with.User = authenticated(response.User)
		return &with, true, nil
	})
}
