package openshift

import (
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Users returns the storage of the resources of user.openshift.io by the names under which they are served.
func Users(getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
	users, err := newUserStorage(getter)
	if err != nil {
		return nil, err
	}
	groups, err := newGroupStorage(getter)
	if err != nil {
		return nil, err
	}
	identities, err := newIdentityStorage(getter)
	if err != nil {
		return nil, err
	}
	return map[string]rest.Storage{
		"users":                users,
		"groups":               groups,
		"identities":           identities,
		"useridentitymappings": newMappingStorage(users.Store, identities),
	}, nil
}
