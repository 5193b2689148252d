package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

func addRoleBindings(getter generic.RESTOptionsGetter, check EscalationCheck, served map[string]rest.Storage) (err error) {
	served["rolebindings"], err = addBindings(getter, check, registry.Definition{
		Plural:    "rolebindings",
		Singular:  "rolebinding",
		NewObject: func() runtime.Object { return &rbacv1.RoleBinding{} },
		NewList:   func() runtime.Object { return &rbacv1.RoleBindingList{} },
		Table:     roleBindingTable,
		Attrs:     registry.Selectable[*rbacv1.RoleBinding](nil),
	}, bindingStrategy{
		rbacStrategy: rbacStrategy{registry.NamespacedStrategy},
		roleKinds:    []string{"Role", "ClusterRole"},
		parts: func(obj runtime.Object) bindingParts {
			binding := obj.(*rbacv1.RoleBinding)
			return bindingParts{&binding.ObjectMeta, binding.RoleRef, binding.Subjects}
		},
	})
	return err
}

var roleBindingTable = bindingTable("roleBinding", "reference a Role in the current namespace or a ClusterRole",
	func(b *rbacv1.RoleBinding) (metav1.ObjectMeta, rbacv1.RoleRef, []rbacv1.Subject) {
		return b.ObjectMeta, b.RoleRef, b.Subjects
	})
