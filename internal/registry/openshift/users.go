package openshift

import (
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
)

// userResources returns the storage of user.openshift.io.
func userResources(getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
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
