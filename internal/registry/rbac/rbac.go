// Package rbac provides the REST storage of rbac.authorization.k8s.io: roles, cluster roles and their bindings. Nobody can
// store a role or a binding that gives more than the caller has (escalation; see EscalationCheck).
package rbac

import (
	"context"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

// Storage returns the API group rbac.authorization.k8s.io.
func Storage(getter generic.RESTOptionsGetter, check EscalationCheck) (registry.Group, error) {
	served := map[string]rest.Storage{}
	for _, add := range []func(generic.RESTOptionsGetter, EscalationCheck, map[string]rest.Storage) error{
		addRoles, addClusterRoles, addRoleBindings, addClusterRoleBindings,
	} {
		if err := add(getter, check, served); err != nil {
			return registry.Group{}, err
		}
	}
	return registry.Group{Version: rbacv1.SchemeGroupVersion, Resources: served}, nil
}

// rbacStrategy is what roles and bindings have in common.
type rbacStrategy struct{ registry.CommonStrategy }

// AllowCreateOnUpdate is true: a PUT of what doesn't exist creates it.
func (rbacStrategy) AllowCreateOnUpdate(context.Context) bool { return true }

// guardedStorage is storage that checks the caller's rights before an object is created or changed.
type guardedStorage struct {
	*genericregistry.Store
	// permit returns an error if the caller may not store obj.
	permit func(ctx context.Context, obj runtime.Object, old runtime.Object) error
}

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.SingularNameProvider
	rest.ResetFieldsStrategy
	rest.StorageVersionProvider
} = (*guardedStorage)(nil)

func newGuardedStorage(getter generic.RESTOptionsGetter, d registry.Definition, permit func(context.Context, runtime.Object, runtime.Object) error) (*guardedStorage, error) {
	d.Group = rbacv1.GroupName
	store, err := registry.NewStore(getter, d)
	if err != nil {
		return nil, err
	}
	return &guardedStorage{Store: store, permit: permit}, nil
}

// Create stores an object that the caller may store.
func (s *guardedStorage) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions,
) (runtime.Object, error) {
	if err := s.permit(ctx, obj, nil); err != nil {
		return nil, err
	}
	return s.Store.Create(ctx, obj, validate, options)
}

// Update stores an object if the caller may store it. A change of nothing but finalizers and owners needs no permission
// beyond that to update.
func (s *guardedStorage) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	info = rest.WrapUpdatedObjectInfo(info, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
		if onlyLetsGo(obj, old) {
			return obj, nil
		}
		return obj, s.permit(ctx, obj, old)
	})
	return s.Store.Update(ctx, name, info, create, update, forceAllowCreate, options)
}

// onlyLetsGo reports whether only finalizers, owners and managed fields of an object have changed.
func onlyLetsGo(obj, old runtime.Object) bool {
	changed := obj.DeepCopyObject()
	now, err := meta.Accessor(changed)
	if err != nil {
		return false
	}
	before, err := meta.Accessor(old)
	if err != nil {
		return false
	}
	now.SetFinalizers(before.GetFinalizers())
	now.SetOwnerReferences(before.GetOwnerReferences())
	now.SetManagedFields(before.GetManagedFields())
	return equality.Semantic.DeepEqual(changed, old)
}

// roleDoc describes the role of a binding.
const roleDoc = "RoleRef can %s in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error."

// bindingTable shows bindings in the words of kube-apiserver's table for the kind.
func bindingTable[T runtime.Object](kind, roles string, parts func(T) (metav1.ObjectMeta, rbacv1.RoleRef, []rbacv1.Subject)) *registry.Table[T] {
	return &registry.Table[T]{
		Columns: []metav1.TableColumnDefinition{
			registry.NameColumn,
			registry.Column("Role", fmt.Sprintf(roleDoc, roles)),
			registry.AgeColumn,
			registry.WideColumn("Users", "Users in the "+kind),
			registry.WideColumn("Groups", "Groups in the "+kind),
			registry.WideColumn("ServiceAccounts", "ServiceAccounts in the "+kind),
		},
		Cells: func(obj T) []any {
			meta, role, subjects := parts(obj)
			var users, groups, accounts []string
			for _, s := range subjects {
				switch s.Kind {
				case rbacv1.UserKind:
					users = append(users, s.Name)
				case rbacv1.GroupKind:
					groups = append(groups, s.Name)
				case rbacv1.ServiceAccountKind:
					accounts = append(accounts, s.Namespace+"/"+s.Name)
				}
			}
			return []any{
				meta.Name, role.Kind + "/" + role.Name, registry.Age(meta.CreationTimestamp),
				strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", "),
			}
		},
	}
}
