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

func addClusterRoleBindings(getter generic.RESTOptionsGetter, check EscalationCheck, served map[string]rest.Storage) error {
	store, err := newGuardedStorage(getter, registry.Definition{
		Plural:    "clusterrolebindings",
		Singular:  "clusterrolebinding",
		NewObject: func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
		NewList:   func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		Strategy:  clusterRoleBindingStrategy{rbacStrategy{registry.ClusterStrategy}},
		Table:     clusterRoleBindingTable,
		Attrs:     registry.Selectable[*rbacv1.ClusterRoleBinding](nil),
	}, func(ctx context.Context, obj, _ runtime.Object) error {
		binding := obj.(*rbacv1.ClusterRoleBinding)
		return check.permitBinding(ctx, "clusterrolebindings", binding.Name, binding.RoleRef)
	})
	if err != nil {
		return err
	}
	served["clusterrolebindings"] = store
	return nil
}

type clusterRoleBindingStrategy struct{ rbacStrategy }

func (clusterRoleBindingStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	binding := obj.(*rbacv1.ClusterRoleBinding)
	errs := registry.ValidateMetadata(&binding.ObjectMeta, false, validateRoleName)
	return append(errs, validateRoleBinding(binding.RoleRef, binding.Subjects, false, "ClusterRole")...)
}

func (s clusterRoleBindingStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	binding, before := obj.(*rbacv1.ClusterRoleBinding), old.(*rbacv1.ClusterRoleBinding)
	errs := append(s.Validate(ctx, obj), registry.ValidateMetadataUpdate(&binding.ObjectMeta, &before.ObjectMeta)...)
	return append(errs, validateRoleRefUpdate(binding.RoleRef, before.RoleRef)...)
}

var clusterRoleBindingTable = bindingTable("clusterRoleBinding", "only reference a ClusterRole",
	func(b *rbacv1.ClusterRoleBinding) (metav1.ObjectMeta, rbacv1.RoleRef, []rbacv1.Subject) {
		return b.ObjectMeta, b.RoleRef, b.Subjects
	})
