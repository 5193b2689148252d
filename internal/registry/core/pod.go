package core

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mintmark/mintmark/internal/registry"
)

// podStorage serves pods.
type podStorage struct {
	*genericregistry.Store
}

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.ShortNamesProvider
	rest.CategoriesProvider
	rest.SingularNameProvider
} = (*podStorage)(nil)

func addPods(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Plural:         "pods",
		Singular:       "pod",
		NewObject:      func() runtime.Object { return &corev1.Pod{} },
		NewList:        func() runtime.Object { return &corev1.PodList{} },
		Strategy:       podStrategy{registry.NamespacedStrategy},
		Table:          podTable,
		Attrs:          registry.Selectable(addPodFields),
		ReturnsDeleted: true,
		// Each node's agent lists and watches the pods of its node.
		Index:     "spec.nodeName",
		IndexFunc: func(obj runtime.Object) string { return obj.(*corev1.Pod).Spec.NodeName },
	})
	if err != nil {
		return err
	}
	served["pods"] = &podStorage{store}
	served["pods/status"] = registry.NewSubresource(store, podStatusStrategy{podStrategy{registry.NamespacedStrategy}})
	served["pods/binding"] = &podBindingStorage{store}
	return nil
}

func (*podStorage) ShortNames() []string { return []string{"po"} }
func (*podStorage) Categories() []string { return []string{"all"} }

func addPodFields(pod *corev1.Pod, set fields.Set) {
	set["spec.hostNetwork"] = strconv.FormatBool(pod.Spec.HostNetwork)
	set["spec.nodeName"] = pod.Spec.NodeName
	set["spec.restartPolicy"] = string(pod.Spec.RestartPolicy)
	set["spec.schedulerName"] = pod.Spec.SchedulerName
	set["spec.serviceAccountName"] = pod.Spec.ServiceAccountName
	set["status.nominatedNodeName"] = pod.Status.NominatedNodeName
	set["status.phase"] = string(pod.Status.Phase)
	set["status.podIP"] = pod.Status.PodIP
}

// podStrategy serves the resource itself. An update can change few fields: see validatePodUpdate.
type podStrategy struct{ registry.CommonStrategy }

var _ rest.RESTGracefulDeleteStrategy = podStrategy{}

func (podStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	pod := obj.(*corev1.Pod)
	dropGatedSources(&pod.Spec)
	pod.Generation = 1
	// Admission may have given the pod an account.
	pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(&pod.Spec)}
	if len(pod.Spec.SchedulingGates) > 0 {
		pod.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		}}
	}
}

func (podStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	pod, oldPod := obj.(*corev1.Pod), old.(*corev1.Pod)
	pod.Status = oldPod.Status
	dropGatedSources(&pod.Spec)
	if !equality.Semantic.DeepEqual(pod.Spec, oldPod.Spec) {
		pod.Generation = oldPod.Generation + 1
	}
}

func (podStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validatePodCreate(obj.(*corev1.Pod))
}

func (podStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validatePodUpdate(obj.(*corev1.Pod), old.(*corev1.Pod))
}

func (podStrategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	pod := obj.(*corev1.Pod)
	var warnings []string
	if wrong := utilvalidation.IsDNS1123Label(pod.Name); len(wrong) > 0 {
		warnings = append(warnings, fmt.Sprintf("metadata.name: this is used in the Pod's hostname, "+
			"which can result in surprising behavior; a DNS label is recommended: [%s]", strings.Join(wrong, ", ")))
	}
	warnings = append(warnings, warnOfOverlaps(pod.Spec.Volumes)...)
	if seconds := pod.Spec.TerminationGracePeriodSeconds; seconds != nil && *seconds < 0 {
		warnings = append(warnings, "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1")
	}
	return warnings
}

// CheckGracefulDelete sets the grace period. A pod without a node, or one that has ended, runs nothing and is removed at once.
func (podStrategy) CheckGracefulDelete(_ context.Context, obj runtime.Object, options *metav1.DeleteOptions) bool {
	if options == nil {
		return false
	}
	pod := obj.(*corev1.Pod)
	var period int64
	switch {
	case options.GracePeriodSeconds != nil:
		period = *options.GracePeriodSeconds
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		period = *pod.Spec.TerminationGracePeriodSeconds
	}
	if period < 0 {
		period = 1
	}
	if pod.Spec.NodeName == "" || hasEnded(pod) {
		period = 0
	}
	options.GracePeriodSeconds = &period
	return true
}

func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func (podStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFields(fieldpath.MakePathOrDie("status"))
}

// podStatusStrategy serves pods/status.
type podStatusStrategy struct{ podStrategy }

func (podStatusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	pod, oldPod := obj.(*corev1.Pod), old.(*corev1.Pod)
	pod.Spec = oldPod.Spec
	pod.OwnerReferences = oldPod.OwnerReferences
	pod.DeletionTimestamp = nil
	// The class follows from the spec, which doesn't change here.
	pod.Status.QOSClass = oldPod.Status.QOSClass
}

func (podStatusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validatePodStatusUpdate(obj.(*corev1.Pod), old.(*corev1.Pod))
}

func (podStatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFields(fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("metadata", "deletionTimestamp"),
		fieldpath.MakePathOrDie("metadata", "ownerReferences"))
}
