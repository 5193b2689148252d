package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

func addClusterRoleBindings(getter generic.RESTOptionsGetter, check EscalationCheck, served map[string]rest.Storage) (err error) {
	served["clusterrolebindings"], err = addBindings(getter, check, registry.Definition{
		Plural:    "clusterrolebindings",
		Singular:  "clusterrolebinding",
		NewObject: func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
		NewList:   func() runtime.Object { return &rbacv1.ClusterRoleBindingList{} },
		Table:     clusterRoleBindingTable,
		Attrs:     registry.Selectable[*rbacv1.ClusterRoleBinding](nil),
	}, bindingStrategy{
		rbacStrategy: rbacStrategy{registry.ClusterStrategy},
		roleKinds:    []string{"ClusterRole"},
		parts: func(obj runtime.Object) bindingParts {
			binding := obj.(*rbacv1.ClusterRoleBinding)
			return bindingParts{&binding.ObjectMeta, binding.RoleRef, binding.Subjects}
		},
	})
	return err
}

var clusterRoleBindingTable = bindingTable("clusterRoleBinding", "only reference a ClusterRole",
	func(b *rbacv1.ClusterRoleBinding) (metav1.ObjectMeta, rbacv1.RoleRef, []rbacv1.Subject) {
		return b.ObjectMeta, b.RoleRef, b.Subjects
	})
