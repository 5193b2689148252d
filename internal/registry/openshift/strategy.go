package openshift

import (
	"context"

	"github.com/mintmark/mintmark/internal/registry"
)

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
