package openshift

import (
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/tokenreview"
)

// oauthResources returns the storage of oauth.openshift.io. Service accounts are OAuth clients as well.
func oauthResources(getter generic.RESTOptionsGetter, accounts rest.Getter, reviewer *tokenreview.Reviewer) (map[string]rest.Storage, error) {
	stored, err := newClients(getter)
	if err != nil {
		return nil, err
	}
	clients := clients{stored: stored, accounts: accounts}
	accessTokens, err := newAccessTokens(getter, clients)
	if err != nil {
		return nil, err
	}
	authorizeTokens, err := newAuthorizeTokens(getter, clients)
	if err != nil {
		return nil, err
	}
	authorizations, err := newClientAuthorizations(getter, clients)
	if err != nil {
		return nil, err
	}
	return map[string]rest.Storage{
		"oauthclients":              stored,
		"oauthaccesstokens":         accessTokens,
		"oauthauthorizetokens":      authorizeTokens,
		"oauthclientauthorizations": authorizations,
		"useroauthaccesstokens":     &userAccessTokens{accessTokens},
		"tokenreviews":              NewTokenReviews(reviewer),
	}, nil
}
