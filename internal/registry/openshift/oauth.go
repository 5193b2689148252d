package openshift

import (
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
)

// OAuth returns the storage of the resources of oauth.openshift.io by the names under which they are served. Accounts are
// the service accounts, which can be clients as well. The reviews of tokens aren't among them.
func OAuth(getter generic.RESTOptionsGetter, accounts rest.Getter) (map[string]rest.Storage, error) {
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
	}, nil
}
