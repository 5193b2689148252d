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

func addClusterRoles(getter generic.RESTOptionsGetter, guard Guard, served map[string]rest.Storage) error {
	store, err := newGuardedStorage(getter, definition{
		plural:    "clusterroles",
		singular:  "clusterrole",
		newObject: func() runtime.Object { return &rbacv1.ClusterRole{} },
		newList:   func() runtime.Object { return &rbacv1.ClusterRoleList{} },
		strategy:  clusterRoleStrategy{rbacStrategy{clusterStrategy}},
		table:     rest.NewDefaultTableConvertor(rbacv1.Resource("clusterroles")),
		attrs:     selectable[*rbacv1.ClusterRole](nil),
	}, func(ctx context.Context, obj, old runtime.Object) error {
		role := obj.(*rbacv1.ClusterRole)
		before, _ := old.(*rbacv1.ClusterRole)
		aggregates := role.AggregationRule != nil || before != nil && before.AggregationRule != nil
		return guard.permitRole(ctx, "clusterroles", role.Name, role.Rules, aggregates)
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
	errs := validateMetadata(&role.ObjectMeta, false, path.ValidatePathSegmentName)
	errs = append(errs, validateRules(role.Rules, false)...)
	return append(errs, validateAggregation(role.AggregationRule)...)
}

func (s clusterRoleStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return append(s.Validate(ctx, obj), validateMetadataUpdate(&obj.(*rbacv1.ClusterRole).ObjectMeta, &old.(*rbacv1.ClusterRole).ObjectMeta)...)
}
