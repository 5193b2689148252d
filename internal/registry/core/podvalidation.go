package core

import (
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/registry"
)

// specPath is the path of a pod's spec in errors.
var specPath = field.NewPath("spec")

func validatePodCreate(pod *corev1.Pod) field.ErrorList {
	errs := validatePod(pod, nil)
	if len(pod.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(specPath.Child("ephemeralContainers"), "cannot be set on create"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(specPath.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	return errs
}

// validatePod checks a pod on its own. A spec that equals the stored one isn't checked: labels and finalizers of a pod can change
// even if the pod was stored before a check existed.
func validatePod(pod, stored *corev1.Pod) field.ErrorList {
	errs := registry.ValidateMetadata(&pod.ObjectMeta, true, validation.NameIsDNSSubdomain)
	errs = append(errs, validateMirrorAnnotation(pod)...)
	if stored != nil && equality.Semantic.DeepEqual(pod.Spec, stored.Spec) {
		return errs
	}
	errs = append(errs, validatePodSpec(&pod.Spec)...)
	if pod.Spec.ServiceAccountName == "" {
		errs = append(errs, forbidTokenVolumes(pod.Spec.Volumes)...)
	}
	errs = append(errs, validateImageSpaces(pod.Spec.Containers, specPath.Child("containers"))...)
	return append(errs, validateImageSpaces(pod.Spec.InitContainers, specPath.Child("initContainers"))...)
}

func validatePodSpec(spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if spec.TerminationGracePeriodSeconds == nil {
		errs = append(errs, field.Required(specPath.Child("terminationGracePeriodSeconds"), ""))
	}
	volumes, volumeErrs := validateVolumes(spec.Volumes)
	errs = append(errs, volumeErrs...)
	errs = append(errs, validateContainers(spec, volumes)...)
	errs = append(errs, registry.OneOf(specPath.Child("restartPolicy"), spec.RestartPolicy,
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, registry.OneOf(specPath.Child("dnsPolicy"), spec.DNSPolicy,
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	errs = append(errs, metav1validation.ValidateLabels(spec.NodeSelector, specPath.Child("nodeSelector"))...)
	errs = append(errs, validateSchedulingGates(spec.SchedulingGates)...)
	errs = append(errs, validatePodNames(spec)...)
	errs = append(errs, validateTolerations(spec.Tolerations)...)
	if policy := spec.PreemptionPolicy; policy != nil {
		errs = append(errs, registry.OneOf(specPath.Child("preemptionPolicy"), *policy, corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if seconds := spec.ActiveDeadlineSeconds; seconds != nil && (*seconds < 1 || *seconds > math.MaxInt32) {
		errs = append(errs, field.Invalid(specPath.Child("activeDeadlineSeconds"), *seconds,
			utilvalidation.InclusiveRangeError(1, math.MaxInt32)))
	}
	return errs
}

// validatePodNames checks the fields that name other objects, and the pod's names on its network.
func validatePodNames(spec *corev1.PodSpec) field.ErrorList {
	var runtimeClass string
	if spec.RuntimeClassName != nil {
		runtimeClass = *spec.RuntimeClassName
	}
	var errs field.ErrorList
	for _, name := range []struct {
		field, value string
		check        func(string) []string
	}{
		{"serviceAccountName", spec.ServiceAccountName, utilvalidation.IsDNS1123Subdomain},
		{"nodeName", spec.NodeName, utilvalidation.IsDNS1123Subdomain},
		{"hostname", spec.Hostname, utilvalidation.IsDNS1123Label},
		{"subdomain", spec.Subdomain, utilvalidation.IsDNS1123Label},
		{"priorityClassName", spec.PriorityClassName, utilvalidation.IsDNS1123Subdomain},
		{"runtimeClassName", runtimeClass, utilvalidation.IsDNS1123Subdomain},
	} {
		if name.value != "" {
			errs = append(errs, registry.Problems(specPath.Child(name.field), name.value, name.check)...)
		}
	}
	return errs
}

func validateSchedulingGates(gates []corev1.PodSchedulingGate) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i, gate := range gates {
		path := specPath.Child("schedulingGates").Index(i)
		errs = append(errs, registry.Problems(path, gate.Name, utilvalidation.IsQualifiedName)...)
		if seen[gate.Name] {
			errs = append(errs, field.Duplicate(path, gate.Name))
		}
		seen[gate.Name] = true
	}
	return errs
}

func validateTolerations(tolerations []corev1.Toleration) field.ErrorList {
	var errs field.ErrorList
	for i, t := range tolerations {
		path := specPath.Child("tolerations").Index(i)
		if t.Key != "" {
			errs = append(errs, metav1validation.ValidateLabelName(t.Key, path.Child("key"))...)
		} else if t.Operator != corev1.TolerationOpExists {
			errs = append(errs, field.Invalid(path.Child("operator"), t.Operator,
				"operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			errs = append(errs, field.Invalid(path.Child("effect"), t.Effect,
				"effect must be 'NoExecute' when `tolerationSeconds` is set"))
		}
		switch t.Operator {
		case "", corev1.TolerationOpEqual:
			if wrong := utilvalidation.IsValidLabelValue(t.Value); len(wrong) > 0 {
				errs = append(errs, field.Invalid(path.Child("operator"), t.Value, strings.Join(wrong, ";")))
			}
		case corev1.TolerationOpExists:
			if t.Value != "" {
				errs = append(errs, field.Invalid(path.Child("operator"), t, "value must be empty when `operator` is 'Exists'"))
			}
		default:
			errs = append(errs, field.NotSupported(path.Child("operator"), t.Operator,
				[]corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}))
		}
		if t.Effect != "" {
			errs = append(errs, validateTaintEffect(t.Effect, path.Child("effect"))...)
		}
	}
	return errs
}

// validateImageSpaces checks images for white space around them. Upstream reports these errors last.
func validateImageSpaces(containers []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, c := range containers {
		if c.Image != strings.TrimSpace(c.Image) {
			errs = append(errs, field.Invalid(path.Index(i).Child("image"), c.Image, "must not have leading or trailing whitespace"))
		}
	}
	return errs
}
