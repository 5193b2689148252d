package rbac

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

func addRoles(getter generic.RESTOptionsGetter, check EscalationCheck, served map[string]rest.Storage) error {
	store, err := newGuardedStorage(getter, registry.Definition{
		Plural:    "roles",
		Singular:  "role",
		NewObject: func() runtime.Object { return &rbacv1.Role{} },
		NewList:   func() runtime.Object { return &rbacv1.RoleList{} },
		Strategy:  roleStrategy{rbacStrategy{registry.NamespacedStrategy}},
		Table:     rest.NewDefaultTableConvertor(rbacv1.Resource("roles")),
		Attrs:     registry.Selectable[*rbacv1.Role](nil),
	}, func(ctx context.Context, obj, _ runtime.Object) error {
		role := obj.(*rbacv1.Role)
		return check.permitRole(ctx, "roles", role.Name, role.Rules, false)
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
	errs := registry.ValidateMetadata(&role.ObjectMeta, true, validateRoleName)
	return append(errs, validateRules(role.Rules, true)...)
}

func (s roleStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return append(s.Validate(ctx, obj), registry.ValidateMetadataUpdate(&obj.(*rbacv1.Role).ObjectMeta, &old.(*rbacv1.Role).ObjectMeta)...)
}
