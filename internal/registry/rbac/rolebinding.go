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

func addRoleBindings(getter generic.RESTOptionsGetter, check EscalationCheck, served map[string]rest.Storage) error {
	store, err := newGuardedStorage(getter, registry.Definition{
		Plural:    "rolebindings",
		Singular:  "rolebinding",
		NewObject: func() runtime.Object { return &rbacv1.RoleBinding{} },
		NewList:   func() runtime.Object { return &rbacv1.RoleBindingList{} },
		Strategy:  roleBindingStrategy{rbacStrategy{registry.NamespacedStrategy}},
		Table:     roleBindingTable,
		Attrs:     registry.Selectable[*rbacv1.RoleBinding](nil),
	}, func(ctx context.Context, obj, _ runtime.Object) error {
		binding := obj.(*rbacv1.RoleBinding)
		return check.permitBinding(ctx, "rolebindings", binding.Name, binding.RoleRef)
	})
	if err != nil {
		return err
	}
	served["rolebindings"] = store
	return nil
}

type roleBindingStrategy struct{ rbacStrategy }

func (roleBindingStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	binding := obj.(*rbacv1.RoleBinding)
	errs := registry.ValidateMetadata(&binding.ObjectMeta, true, validateRoleName)
	return append(errs, validateRoleBinding(binding.RoleRef, binding.Subjects, true, "Role", "ClusterRole")...)
}

func (s roleBindingStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	binding, before := obj.(*rbacv1.RoleBinding), old.(*rbacv1.RoleBinding)
	errs := append(s.Validate(ctx, obj), registry.ValidateMetadataUpdate(&binding.ObjectMeta, &before.ObjectMeta)...)
	return append(errs, validateRoleRefUpdate(binding.RoleRef, before.RoleRef)...)
}

var roleBindingTable = bindingTable("roleBinding", "reference a Role in the current namespace or a ClusterRole",
	func(b *rbacv1.RoleBinding) (metav1.ObjectMeta, rbacv1.RoleRef, []rbacv1.Subject) {
		return b.ObjectMeta, b.RoleRef, b.Subjects
	})
