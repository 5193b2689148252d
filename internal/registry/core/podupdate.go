package core

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/registry"
)

// changeable lists the fields of a pod's spec that may change, in the words of the error.
var changeable = strings.Join([]string{
	"`spec.containers[*].image`",
	"`spec.initContainers[*].image`",
	"`spec.activeDeadlineSeconds`",
	"`spec.tolerations` (only additions to existing tolerations)",
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
}, ",")

// validatePodUpdate checks that only fields change which may. Service account and node, on which tokens depend, never change.
func validatePodUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, validatePod(pod, old)...)
	errs = append(errs, validateMirrorAnnotationUpdate(pod, old)...)
	for _, list := range []struct {
		field    string
		new, old []corev1.Container
	}{
		{"containers", pod.Spec.Containers, old.Spec.Containers},
		{"initContainers", pod.Spec.InitContainers, old.Spec.InitContainers},
	} {
		if len(list.new) != len(list.old) {
			return append(errs, field.Forbidden(specPath.Child(list.field), "pod updates may not add or remove containers"))
		}
	}
	errs = append(errs, validateDeadlineUpdate(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds)...)
	errs = append(errs, validateTolerationsUpdate(pod.Spec.Tolerations, old.Spec.Tolerations)...)
	errs = append(errs, validateGatesUpdate(pod.Spec.SchedulingGates, old.Spec.SchedulingGates)...)

	rest := withoutChanges(&pod.Spec, &old.Spec)
	if !equality.Semantic.DeepEqual(*rest, old.Spec) {
		errs = append(errs, field.Forbidden(specPath, fmt.Sprintf("pod updates may not change fields other than %s\n%v",
			changeable, diff.Diff(old.Spec, *rest))))
	}
	return errs
}

// withoutChanges returns spec with the changeable fields set back to the values in old.
func withoutChanges(spec, old *corev1.PodSpec) *corev1.PodSpec {
	rest := spec.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i].Image = old.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = old.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	rest.Tolerations = old.Tolerations
	rest.SchedulingGates = old.SchedulingGates
	if before, now := old.TerminationGracePeriodSeconds, rest.TerminationGracePeriodSeconds; before != nil && *before < 0 &&
		now != nil && *now == 1 {
		rest.TerminationGracePeriodSeconds = before
	}
	return rest
}

// validateDeadlineUpdate lets a deadline be set once, and be shortened.
func validateDeadlineUpdate(deadline, old *int64) field.ErrorList {
	path := specPath.Child("activeDeadlineSeconds")
	switch {
	case deadline == nil && old != nil:
		return field.ErrorList{field.Invalid(path, deadline, "must not update from a positive integer to nil value")}
	case deadline == nil:
		return nil
	case *deadline < 0 || *deadline > math.MaxInt32:
		return field.ErrorList{field.Invalid(path, *deadline, utilvalidation.InclusiveRangeError(0, math.MaxInt32))}
	case old != nil && *deadline > *old:
		return field.ErrorList{field.Invalid(path, *deadline, "must be less than or equal to previous value")}
	}
	return nil
}

// validateTolerationsUpdate lets tolerations be added, and last longer or shorter.
func validateTolerationsUpdate(tolerations, old []corev1.Toleration) field.ErrorList {
	for _, was := range old {
		kept := slices.ContainsFunc(tolerations, func(is corev1.Toleration) bool {
			is.TolerationSeconds = was.TolerationSeconds
			return is == was
		})
		if !kept {
			return field.ErrorList{field.Forbidden(specPath.Child("tolerations"),
				"existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return nil
}

// validateGatesUpdate lets scheduling gates be removed.
func validateGatesUpdate(gates, old []corev1.PodSchedulingGate) field.ErrorList {
	var errs field.ErrorList
	for i, gate := range gates {
		if !slices.Contains(old, gate) {
			errs = append(errs, field.Forbidden(specPath.Child("schedulingGates").Index(i).Child("name"),
				fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", gate.Name)))
		}
	}
	return errs
}

func validatePodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&pod.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, validateMirrorAnnotationUpdate(pod, old)...)
	status := field.NewPath("status")
	if name := pod.Status.NominatedNodeName; name != old.Status.NominatedNodeName && name != "" {
		errs = append(errs, registry.Problems(status.Child("nominatedNodeName"), name, utilvalidation.IsDNS1123Subdomain)...)
	}
	for i, ip := range pod.Status.PodIPs {
		errs = append(errs, utilvalidation.IsValidIP(status.Child("podIPs").Index(i), ip.IP)...)
	}
	return errs
}
