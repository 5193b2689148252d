package registry

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mintmark/mintmark/internal/scheme"
)

// Strategy is what a resource needs to be created, updated and deleted.
type Strategy interface {
	rest.RESTCreateUpdateStrategy
	rest.RESTDeleteStrategy
	rest.ResetFieldsStrategy
}

// CommonStrategy is what all resources have in common. Each resource embeds it, and overrides the methods in which it
// differs.
type CommonStrategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	namespaced bool
}

var NamespacedStrategy = CommonStrategy{scheme.Scheme, names.SimpleNameGenerator, true}

// ClusterStrategy is that of resources whose objects are in no namespace.
var ClusterStrategy = CommonStrategy{scheme.Scheme, names.SimpleNameGenerator, false}

// NamespaceScoped says whether objects are in a namespace.
func (s CommonStrategy) NamespaceScoped() bool { return s.namespaced }

// PrepareForCreate leaves an object as it came.
func (CommonStrategy) PrepareForCreate(context.Context, runtime.Object) {}

// PrepareForUpdate leaves an object as it came.
func (CommonStrategy) PrepareForUpdate(context.Context, runtime.Object, runtime.Object) {}

// Canonicalize leaves an object as it is.
func (CommonStrategy) Canonicalize(runtime.Object) {}

// WarningsOnCreate warns of nothing.
func (CommonStrategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate warns of nothing.
func (CommonStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// AllowCreateOnUpdate is false: a PUT of what doesn't exist is not found.
func (CommonStrategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate is true: an update without a resource version replaces whatever is there.
func (CommonStrategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// GetResetFields names no field: a client owns everything it applies.
func (CommonStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set { return nil }

// resetFields are fields of a core object that a strategy sets itself, whatever a client applies.
func ResetFields(paths ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{"v1": fieldpath.NewSet(paths...)}
}
