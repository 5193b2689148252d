package openshift

import (
	"context"

	"github.com/mintmark/mintmark/internal/registry"
)

// strategy has the defaults of OpenShift's resources. All are cluster-scoped.
type strategy struct{ registry.CommonStrategy }

var commonStrategy = func() strategy {
	s := strategy{registry.ClusterStrategy}
	s.NameGenerator = verbatim{}
	return s
}()

// AllowUnconditionalUpdate is false: an update must have a resource version.
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return false }

// verbatim uses metadata.generateName as the name, without a suffix.
type verbatim struct{}

// GenerateName returns the name.
func (verbatim) GenerateName(base string) string { return base }
