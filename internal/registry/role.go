package registry

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
)

func addRoles(getter generic.RESTOptionsGetter, guard Guard, served map[string]rest.Storage) error {
	store, err := newGuardedStorage(getter, definition{
		plural:    "roles",
		singular:  "role",
		newObject: func() runtime.Object { return &rbacv1.Role{} },
		newList:   func() runtime.Object { return &rbacv1.RoleList{} },
		strategy:  roleStrategy{rbacStrategy{namespacedStrategy}},
		table:     rest.NewDefaultTableConvertor(rbacv1.Resource("roles")),
		attrs:     selectable[*rbacv1.Role](nil),
	}, func(ctx context.Context, obj, _ runtime.Object) error {
		role := obj.(*rbacv1.Role)
		return guard.permitRole(ctx, "roles", role.Name, role.Rules, false)
	})
	if err != nil {
		return err
	}
	served["roles"] = store
	return nil
}

type roleStrategy struct{ rbacStrategy }

func (roleStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	role := obj.(*rbacv1.Role)
	errs := validateMetadata(&role.ObjectMeta, true, path.ValidatePathSegmentName)
	return append(errs, validateRules(role.Rules, true)...)
}

func (s roleStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return append(s.Validate(ctx, obj), validateMetadataUpdate(&obj.(*rbacv1.Role).ObjectMeta, &old.(*rbacv1.Role).ObjectMeta)...)
}
