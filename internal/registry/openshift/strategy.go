package openshift

import (
	"context"

	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

// add opens the storage of a group's resources, by the names under which they are served.
func add(getter generic.RESTOptionsGetter, adders ...func(generic.RESTOptionsGetter, map[string]rest.Storage) error) (map[string]rest.Storage, error) {
	served := map[string]rest.Storage{}
	for _, add := range adders {
		if err := add(getter, served); err != nil {
			return nil, err
		}
	}
	return served, nil
}

// strategy is what OpenShift's resources have in common. All are cluster-scoped.
type strategy struct{ registry.CommonStrategy }

var commonStrategy = func() strategy {
	s := strategy{registry.ClusterStrategy}
	s.NameGenerator = verbatim{}
	return s
}()

// AllowUnconditionalUpdate is false: an update says which version of the object it is about.
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return false }

// verbatim makes names that are just what was asked for: whoever sends metadata.generateName gets that name.
type verbatim struct{}

// GenerateName returns the name.
func (verbatim) GenerateName(base string) string { return base }
