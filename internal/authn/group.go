package authn

import (
	"context"
	"slices"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// withAuthenticatedGroup adds the group of everybody who has proved who they are, as the library's group adder does it
// for requests.
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
		with.User = &user.DefaultInfo{
			Name:   response.User.GetName(),
			UID:    response.User.GetUID(),
			Groups: append(slices.Clip(groups), user.AllAuthenticated),
			Extra:  response.User.GetExtra(),
		}
		return &with, true, nil
	})
}
