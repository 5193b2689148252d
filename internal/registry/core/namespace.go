package core

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mintmark/mintmark/internal/registry"
)

func addNamespaces(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Plural:    "namespaces",
		Singular:  "namespace",
		NewObject: func() runtime.Object { return &corev1.Namespace{} },
		NewList:   func() runtime.Object { return &corev1.NamespaceList{} },
		Strategy:  namespaceStrategy{registry.ClusterStrategy},
		Table:     namespaceTable,
		Attrs: registry.Selectable(func(ns *corev1.Namespace, set fields.Set) {
			set["name"] = ns.Name
			set["status.phase"] = string(ns.Status.Phase)
		}),
		ReturnsDeleted: true,
	})
	if err != nil {
		return err
	}
	store.ShouldDeleteDuringUpdate = func(_ context.Context, _ string, obj, _ runtime.Object) bool {
		return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0
	}
	served["namespaces"] = &namespaceStorage{store}
	served["namespaces/status"] = registry.NewSubresource(store, namespaceStatusStrategy{namespaceStrategy{registry.ClusterStrategy}})
	served["namespaces/finalize"] = &namespaceFinalizeStorage{
		registry.NewSubresource(store, namespaceFinalizeStrategy{namespaceStrategy{registry.ClusterStrategy}}),
	}
	return nil
}

// namespaceStrategy serves the resource itself, through which neither finalizers nor status change.
type namespaceStrategy struct{ registry.CommonStrategy }

func (namespaceStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	ns := obj.(*corev1.Namespace)
	ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func (namespaceStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	ns, oldNS := obj.(*corev1.Namespace), old.(*corev1.Namespace)
	ns.Spec.Finalizers = oldNS.Spec.Finalizers
	ns.Status = oldNS.Status
}

func (namespaceStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	ns := obj.(*corev1.Namespace)
	errs := registry.ValidateMetadata(&ns.ObjectMeta, false, validation.ValidateNamespaceName)
	for _, finalizer := range ns.Spec.Finalizers {
		errs = append(errs, registry.ValidateFinalizer(string(finalizer), field.NewPath("spec", "finalizers"))...)
	}
	return errs
}

func (s namespaceStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := s.Validate(ctx, obj)
	return append(errs, registry.ValidateMetadataUpdate(&obj.(*corev1.Namespace).ObjectMeta, &old.(*corev1.Namespace).ObjectMeta)...)
}

// Canonicalize labels the namespace with its name. A generated name is not known before.
func (namespaceStrategy) Canonicalize(obj runtime.Object) {
	ns := obj.(*corev1.Namespace)
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

func (namespaceStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFields(fieldpath.MakePathOrDie("status"))
}

// namespaceStatusStrategy serves namespaces/status.
type namespaceStatusStrategy struct{ namespaceStrategy }

func (namespaceStatusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Spec = old.(*corev1.Namespace).Spec
}

func (namespaceStatusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	ns, oldNS := obj.(*corev1.Namespace), old.(*corev1.Namespace)
	errs := registry.ValidateMetadataUpdate(&ns.ObjectMeta, &oldNS.ObjectMeta)
	phasePath := field.NewPath("status", "Phase")
	switch deleted := !ns.DeletionTimestamp.IsZero(); {
	case deleted && ns.Status.Phase != corev1.NamespaceTerminating:
		errs = append(errs, field.Invalid(phasePath, ns.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
	case !deleted && ns.Status.Phase != corev1.NamespaceActive:
		errs = append(errs, field.Invalid(phasePath, ns.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty"))
	}
	return errs
}

func (namespaceStatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFields(fieldpath.MakePathOrDie("spec"))
}

// namespaceFinalizeStrategy serves namespaces/finalize, the only path under which spec.finalizers changes.
type namespaceFinalizeStrategy struct{ namespaceStrategy }

func (namespaceFinalizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Status = old.(*corev1.Namespace).Status
}

func (namespaceFinalizeStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	ns, oldNS := obj.(*corev1.Namespace), old.(*corev1.Namespace)
	errs := registry.ValidateMetadataUpdate(&ns.ObjectMeta, &oldNS.ObjectMeta)
	for i, finalizer := range ns.Spec.Finalizers {
		errs = append(errs, registry.ValidateFinalizer(string(finalizer), field.NewPath("spec", "finalizers").Index(i))...)
	}
	return errs
}

var namespaceTable = &registry.Table[*corev1.Namespace]{
	Columns: []metav1.TableColumnDefinition{registry.NameColumn, registry.Column("Status", "The status of the namespace"), registry.AgeColumn},
	Cells: func(ns *corev1.Namespace) []any {
		return []any{ns.Name, string(ns.Status.Phase), registry.Age(ns.CreationTimestamp)}
	},
}

var _ interface {
	rest.Updater
	rest.ResetFieldsStrategy
} = (*namespaceFinalizeStorage)(nil)

// namespaceFinalizeStorage serves namespaces/finalize, which can be replaced but not read.
type namespaceFinalizeStorage struct{ sub *registry.Subresource }

func (s *namespaceFinalizeStorage) New() runtime.Object { return s.sub.New() }
func (s *namespaceFinalizeStorage) Destroy()            {}

func (s *namespaceFinalizeStorage) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.sub.GetResetFields()
}

func (s *namespaceFinalizeStorage) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return s.sub.Update(ctx, name, info, create, update, false, options)
}
