package rbac

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

// bindingParts are the parts that role bindings and cluster role bindings have in common.
type bindingParts struct {
	meta     *metav1.ObjectMeta
	role     rbacv1.RoleRef
	subjects []rbacv1.Subject
}

// addBindings serves a kind of bindings. The definition lacks what follows from the strategy.
func addBindings(getter generic.RESTOptionsGetter, check EscalationCheck, d registry.Definition, s bindingStrategy) (rest.Storage, error) {
	d.Strategy = s
	return newGuardedStorage(getter, d, func(ctx context.Context, obj, _ runtime.Object) error {
		binding := s.parts(obj)
		return check.permitBinding(ctx, d.Plural, binding.meta.Name, binding.role)
	})
}

// bindingStrategy is the strategy of both kinds of bindings.
type bindingStrategy struct {
	rbacStrategy
	parts func(runtime.Object) bindingParts
	// roleKinds are the kinds of roles that may be bound.
	roleKinds []string
}

func (s bindingStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	binding := s.parts(obj)
	errs := registry.ValidateMetadata(binding.meta, s.NamespaceScoped(), validateRoleName)
	return append(errs, validateRoleBinding(binding.role, binding.subjects, s.NamespaceScoped(), s.roleKinds...)...)
}

func (s bindingStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	binding, before := s.parts(obj), s.parts(old)
	errs := append(s.Validate(ctx, obj), registry.ValidateMetadataUpdate(binding.meta, before.meta)...)
	return append(errs, validateRoleRefUpdate(binding.role, before.role)...)
}
