package admission

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
)

// admitNode lets a node change its own Node object, but not by what pods are steered to it: taints, owners and the labels
// that are an administrator's.
func admitNode(node string, a admission.Attributes) error {
	if a.GetName() != node {
		return forbidden(a, "node %q is not allowed to modify node %q", node, a.GetName())
	}
	if a.GetOperation() == admission.Delete {
		return nil
	}
	object, ok := a.GetObject().(*corev1.Node)
	if !ok {
		return forbidden(a, "unexpected type %T", a.GetObject())
	}
	if a.GetOperation() == admission.Create {
		return admitNodeCreate(node, object, a)
	}
	old, ok := a.GetOldObject().(*corev1.Node)
	if !ok {
		return forbidden(a, "unexpected type %T", a.GetOldObject())
	}
	return admitNodeUpdate(node, object, old, a)
}

func admitNodeCreate(node string, object *corev1.Node, a admission.Attributes) error {
	if object.Spec.ConfigSource != nil { //nolint:staticcheck // clients may still send it
		return forbidden(a, "node %q is not allowed to create pods with a non-nil configSource", node)
	}
	if keys := forbiddenLabels(object.Labels, nil); keys != "" {
		return forbidden(a, "node %q is not allowed to set the following labels: %s", node, keys)
	}
	return nil
}

func admitNodeUpdate(node string, object, old *corev1.Node, a admission.Attributes) error {
	source, oldSource := object.Spec.ConfigSource, old.Spec.ConfigSource //nolint:staticcheck // clients may still send it
	if source != nil && !equality.Semantic.DeepEqual(source, oldSource) {
		return forbidden(a, "node %q is not allowed to update configSource to a new non-nil configSource", node)
	}
	if !equality.Semantic.DeepEqual(object.Spec.Taints, old.Spec.Taints) {
		return forbidden(a, "node %q is not allowed to modify taints", node)
	}
	if !equality.Semantic.DeepEqual(object.OwnerReferences, old.OwnerReferences) {
		return forbidden(a, "node %q is not allowed to modify ownerReferences", node)
	}
	if keys := forbiddenLabels(object.Labels, old.Labels); keys != "" {
		return forbidden(a, "is not allowed to modify labels: %s", keys)
	}
	return nil
}

// forbiddenLabels returns the keys of labels that were added, removed or changed and that a node may not touch, sorted.
func forbiddenLabels(labels, old map[string]string) string {
	forbidden := map[string]bool{}
	for _, side := range []map[string]string{labels, old} {
		for key := range side {
			value, ok := labels[key]
			before, had := old[key]
			if (ok != had || value != before) && !isFreeLabel(key) {
				forbidden[key] = true
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(forbidden)), ", ")
}

// kubeletLabels are the labels of Kubernetes' own namespaces that a node may give itself.
var kubeletLabels = []string{
	corev1.LabelHostname, corev1.LabelOSStable, corev1.LabelArchStable,
	corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelInstanceTypeStable,
	"beta.kubernetes.io/os", "beta.kubernetes.io/arch", corev1.LabelInstanceType,
	corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
}

// isFreeLabel reports whether a node may give itself a label. A key's namespace stands before its first slash.
func isFreeLabel(key string) bool {
	namespace, _, found := strings.Cut(key, "/")
	if !found {
		namespace = ""
	}
	switch {
	case isWithin(namespace, corev1.LabelNamespaceNodeRestriction):
		return false
	case !isWithin(namespace, "kubernetes.io") && !isWithin(namespace, "k8s.io"):
		return true
	}
	return slices.Contains(kubeletLabels, key) ||
		isWithin(namespace, corev1.LabelNamespaceSuffixKubelet) || isWithin(namespace, corev1.LabelNamespaceSuffixNode)
}

// isWithin reports whether a namespace of labels is a domain or below it.
func isWithin(namespace, domain string) bool {
	return namespace == domain || strings.HasSuffix(namespace, "."+domain)
}
