// Package coordination provides the REST storage of coordination.k8s.io: Lease, by which clients elect a leader and kubelets
// say that they are alive.
//
// Coordinated leader election is off, as it is by default in kube-apiserver: the fields strategy and preferredHolder are
// dropped, and LeaseCandidates are not served.
package coordination

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/internal/registry"
)

// Storage returns the API group.
func Storage(getter generic.RESTOptionsGetter) (registry.Group, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     coordinationv1.GroupName,
		Plural:    "leases",
		Singular:  "lease",
		NewObject: func() runtime.Object { return &coordinationv1.Lease{} },
		NewList:   func() runtime.Object { return &coordinationv1.LeaseList{} },
		Strategy:  leaseStrategy{registry.NamespacedStrategy},
		Table:     leaseTable,
		Attrs:     registry.Selectable[*coordinationv1.Lease](nil),
	})
	if err != nil {
		return registry.Group{}, err
	}
	return registry.Group{Version: coordinationv1.SchemeGroupVersion, Resources: map[string]rest.Storage{"leases": store}}, nil
}

type leaseStrategy struct{ registry.CommonStrategy }

// AllowCreateOnUpdate is true: a PUT of a lease that doesn't exist creates it.
func (leaseStrategy) AllowCreateOnUpdate(context.Context) bool { return true }

// AllowUnconditionalUpdate is false: whoever takes a lease says which version of it.
func (leaseStrategy) AllowUnconditionalUpdate(context.Context) bool { return false }

func (leaseStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	dropCoordinated(obj.(*coordinationv1.Lease))
}

func (leaseStrategy) PrepareForUpdate(_ context.Context, obj, _ runtime.Object) {
	dropCoordinated(obj.(*coordinationv1.Lease))
}

// dropCoordinated drops the fields of coordinated leader election.
func dropCoordinated(lease *coordinationv1.Lease) {
	lease.Spec.Strategy, lease.Spec.PreferredHolder = nil, nil
}

// Validate takes finalizers without a domain, as kube-apiserver does for leases.
func (leaseStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	lease := obj.(*coordinationv1.Lease)
	errs := validation.ValidateObjectMeta(&lease.ObjectMeta, true, validation.NameIsDNSSubdomain, registry.MetadataPath)
	return append(errs, validateSpec(&lease.Spec)...)
}

func (leaseStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	lease := obj.(*coordinationv1.Lease)
	errs := registry.ValidateMetadataUpdate(&lease.ObjectMeta, &old.(*coordinationv1.Lease).ObjectMeta)
	return append(errs, validateSpec(&lease.Spec)...)
}

func validateSpec(spec *coordinationv1.LeaseSpec) field.ErrorList {
	var errs field.ErrorList
	path := field.NewPath("spec")
	if seconds := spec.LeaseDurationSeconds; seconds != nil && *seconds <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDurationSeconds"), *seconds, "must be greater than 0"))
	}
	if transitions := spec.LeaseTransitions; transitions != nil && *transitions < 0 {
		errs = append(errs, field.Invalid(path.Child("leaseTransitions"), *transitions, "must be greater than or equal to 0"))
	}
	return errs
}

var leaseTable = &registry.Table[*coordinationv1.Lease]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("Holder", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]),
		registry.AgeColumn,
	},
	Cells: func(lease *coordinationv1.Lease) []any {
		return []any{lease.Name, ptr.Deref(lease.Spec.HolderIdentity, ""), registry.Age(lease.CreationTimestamp)}
	},
}
