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

func addClusterRoles(getter generic.RESTOptionsGetter, check EscalationCheck, served map[string]rest.Storage) error {
	store, err := newGuardedStorage(getter, registry.Definition{
		Plural:    "clusterroles",
		Singular:  "clusterrole",
		NewObject: func() runtime.Object { return &rbacv1.ClusterRole{} },
		NewList:   func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		Strategy:  clusterRoleStrategy{rbacStrategy{registry.ClusterStrategy}},
		Table:     rest.NewDefaultTableConvertor(rbacv1.Resource("clusterroles")),
		Attrs:     registry.Selectable[*rbacv1.ClusterRole](nil),
	}, func(ctx context.Context, obj, old runtime.Object) error {
		role := obj.(*rbacv1.ClusterRole)
		before, _ := old.(*rbacv1.ClusterRole)
		aggregates := role.AggregationRule != nil || before != nil && before.AggregationRule != nil
		return check.permitRole(ctx, "clusterroles", role.Name, role.Rules, aggregates)
	})
	if err != nil {
		return err
	}
	served["clusterroles"] = store
	return nil
}

type clusterRoleStrategy struct{ rbacStrategy }

func (clusterRoleStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	role := obj.(*rbacv1.ClusterRole)
	errs := registry.ValidateMetadata(&role.ObjectMeta, false, validateRoleName)
	errs = append(errs, validateRules(role.Rules, false)...)
	return append(errs, validateAggregation(role.AggregationRule)...)
}

func (s clusterRoleStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return append(s.Validate(ctx, obj), registry.ValidateMetadataUpdate(&obj.(*rbacv1.ClusterRole).ObjectMeta, &old.(*rbacv1.ClusterRole).ObjectMeta)...)
}
