package core

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/mintmark/mintmark/internal/registry"
)

func validateNode(node *corev1.Node) field.ErrorList {
	errs := registry.ValidateMetadata(&node.ObjectMeta, false, validation.NameIsDNSSubdomain)
	errs = append(errs, validateTaints(node.Spec.Taints)...)
	errs = append(errs, validateNodeResources(node)...)
	return append(errs, validatePodCIDRs(node.Spec.PodCIDRs)...)
}

func validateNodeUpdate(node, old *corev1.Node) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&node.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, validateNodeResources(node)...)
	seen := map[corev1.NodeAddress]bool{}
	for i, address := range node.Status.Addresses {
		if seen[address] {
			errs = append(errs, field.Duplicate(field.NewPath("status", "addresses").Index(i), address))
		}
		seen[address] = true
	}
	spec := field.NewPath("spec")
	if len(old.Spec.PodCIDRs) > 0 && !slices.Equal(old.Spec.PodCIDRs, node.Spec.PodCIDRs) {
		errs = append(errs, field.Forbidden(spec.Child("podCIDRs"), `node updates may not change podCIDR except from "" to valid`))
	}
	if old.Spec.ProviderID != "" && old.Spec.ProviderID != node.Spec.ProviderID {
		errs = append(errs, field.Forbidden(spec.Child("providerID"), `node updates may not change providerID except from "" to valid`))
	}
	errs = append(errs, validateTaints(node.Spec.Taints)...)
	if node.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		errs = append(errs, field.Forbidden(spec.Child("externalID"), "may not be updated"))
	}
	return errs
}

// validateTaints reports taints under metadata, which is not where they are but is upstream's text.
func validateTaints(taints []corev1.Taint) field.ErrorList {
	var errs field.ErrorList
	type identity struct {
		effect corev1.TaintEffect
		key    string
	}
	seen := map[identity]bool{}
	for i, taint := range taints {
		path := registry.MetadataPath.Child("taints").Index(i)
		errs = append(errs, metav1validation.ValidateLabelName(taint.Key, path.Child("key"))...)
		if wrong := utilvalidation.IsValidLabelValue(taint.Value); len(wrong) > 0 {
			errs = append(errs, field.Invalid(path.Child("value"), taint.Value, strings.Join(wrong, ";")))
		}
		errs = append(errs, validateTaintEffect(taint.Effect, path.Child("effect"))...)
		id := identity{taint.Effect, taint.Key}
		if seen[id] {
			duplicate := field.Duplicate(path, taint)
			duplicate.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, duplicate)
		}
		seen[id] = true
	}
	return errs
}

func validateTaintEffect(effect corev1.TaintEffect, path *field.Path) field.ErrorList {
	return registry.OneOf(path, effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}

func validatePodCIDRs(cidrs []string) field.ErrorList {
	path := field.NewPath("spec", "podCIDRs")
	var errs field.ErrorList
	for i, cidr := range cidrs {
		errs = append(errs, utilvalidation.IsValidCIDR(path.Index(i), cidr)...)
	}
	if len(cidrs) < 2 || len(errs) > 0 {
		return errs
	}
	if dual, err := netutils.IsDualStackCIDRStrings(cidrs); err != nil || !dual || len(cidrs) > 2 {
		errs = append(errs, field.Invalid(path, cidrs, "may specify no more than one CIDR for each IP family"))
	}
	for i, cidr := range cidrs {
		if slices.Contains(cidrs[:i], cidr) {
			errs = append(errs, field.Duplicate(path.Index(i), cidr))
		}
	}
	return errs
}

func validateNodeResources(node *corev1.Node) field.ErrorList {
	var errs field.ErrorList
	status := field.NewPath("status")
	for _, name := range slices.Sorted(maps.Keys(node.Status.Capacity)) {
		errs = append(errs, validateQuantity(name, node.Status.Capacity[name], status.Child("capacity", string(name)))...)
	}
	for _, name := range slices.Sorted(maps.Keys(node.Status.Allocatable)) {
		errs = append(errs, validateQuantity(name, node.Status.Allocatable[name], status.Child("allocatable", string(name)))...)
	}
	return errs
}

// validateQuantity checks the amount of a resource.
func validateQuantity(name corev1.ResourceName, quantity resource.Quantity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if quantity.Sign() < 0 {
		errs = append(errs, field.Invalid(path, quantity.String(), validation.IsNegativeErrorMsg))
	}
	if wholeOnly(name) && quantity.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, quantity, "must be an integer"))
	}
	return errs
}

// wholeOnly reports whether a resource is counted in whole numbers: pods and extended resources are.
func wholeOnly(name corev1.ResourceName) bool {
	extended := strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
	return name == corev1.ResourcePods || extended
}
