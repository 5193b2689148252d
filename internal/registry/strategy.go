package registry

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mintmark/mintmark/internal/scheme"
)

// deletableStrategy is what a resource needs to be created, updated and deleted.
type deletableStrategy interface {
	rest.RESTCreateUpdateStrategy
	rest.RESTDeleteStrategy
	rest.ResetFieldsStrategy
}

// strategy is what all resources have in common. Each resource embeds it, and overrides the methods in which it
// differs.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	namespaced bool
}

var (
	namespacedStrategy = strategy{scheme.Scheme, names.SimpleNameGenerator, true}
	clusterStrategy    = strategy{scheme.Scheme, names.SimpleNameGenerator, false}
)

func (s strategy) NamespaceScoped() bool { return s.namespaced }

func (strategy) PrepareForCreate(context.Context, runtime.Object)                 {}
func (strategy) PrepareForUpdate(context.Context, runtime.Object, runtime.Object) {}
func (strategy) Canonicalize(runtime.Object)                                      {}

func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// AllowCreateOnUpdate is false: a PUT of what doesn't exist is not found.
func (strategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate is true: an update without a resource version replaces whatever is there.
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }

// GetResetFields names no field: a client owns everything it applies.
func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set { return nil }

// resetFields are fields of a core object that a strategy sets itself, whatever a client applies.
func resetFields(paths ...fieldpath.Path) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{"v1": fieldpath.NewSet(paths...)}
}
