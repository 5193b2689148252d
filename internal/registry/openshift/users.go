package openshift

import (
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Users returns the storage of the resources of user.openshift.io by the names under which they are served.
func Users(getter generic.RESTOptionsGetter) (map[string]rest.Storage, error) {
	return add(getter, addUsers, addGroups)
}
