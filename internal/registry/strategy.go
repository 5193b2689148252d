package registry

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mintmark/mintmark/internal/scheme"
)

// Strategy has the rules by which objects of a resource are created, updated and deleted.
type Strategy interface {
	rest.RESTCreateUpdateStrategy
	rest.RESTDeleteStrategy
	rest.ResetFieldsStrategy
}

// CommonStrategy has the rules that most resources share. Each resource embeds it and overrides the methods in which it
// differs.
type CommonStrategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	namespaced bool
}

// NamespacedStrategy is for resources whose objects are in a namespace.
var NamespacedStrategy = CommonStrategy{scheme.Scheme, names.SimpleNameGenerator, true}

// ClusterStrategy is for resources whose objects are in no namespace.
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

// AllowCreateOnUpdate is false: a PUT of an object that doesn't exist is answered with 404.
func (CommonStrategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate is true: an update without a resource version replaces the stored object.
func (CommonStrategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// GetResetFields names no field: a client owns everything it applies.
func (CommonStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set { return nil }

// ResetFields lists fields of a core object that the strategy sets itself, so that a client that applies them doesn't own them.
func ResetFields(paths ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return ResetFieldsOf(schema.GroupVersion{Version: "v1"}, paths...)
}

// ResetFieldsOf does the same for an object of another group.
func ResetFieldsOf(version schema.GroupVersion, paths ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(version.String()): fieldpath.NewSet(paths...)}
}
