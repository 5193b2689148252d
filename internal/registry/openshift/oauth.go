package openshift

import (
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
)

// OAuth returns the storage of the resources of oauth.openshift.io by the names under which they are served.
func OAuth(getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
	return add(getter, addAccessTokens, addClients)
}
