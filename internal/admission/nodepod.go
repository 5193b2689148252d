package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
)

// admitPod lets a node create mirror pods, and delete pods that run on it and report their status.
func (n NodeRestriction) admitPod(ctx context.Context, node string, a admission.Attributes) error {
	switch a.GetSubresource() {
	case "":
	case "status":
		return admitPodStatus(node, a)
	default:
		return forbidden(a, "unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.GetSubresource())
	}
	switch a.GetOperation() {
	case admission.Create:
		return n.admitMirrorPod(ctx, node, a)
	case admission.Delete:
		return n.admitPodDelete(ctx, node, a)
	}
	return forbidden(a, "unexpected operation %q, node %q can only create and delete mirror pods", a.GetOperation(), node)
}

// admitPodDelete looks for a pod without a name when a collection is deleted. The library takes it that such a pod was
// deleted by another client, so a node that may delete collections deletes nothing by it.
func (n NodeRestriction) admitPodDelete(ctx context.Context, node string, a admission.Attributes) error {
	pod, err := n.pod(ctx, a.GetNamespace(), a.GetName())
	if err != nil {
		return err
	}
	if pod.Spec.NodeName != node {
		return forbidden(a, "node %q can only delete pods with spec.nodeName set to itself", node)
	}
	return nil
}

// admitPodStatus goes by the node name that is stored: a name in the request is dropped later. Annotations and finalizers
// are the node's to change.
func admitPodStatus(node string, a admission.Attributes) error {
	old, isPod := a.GetOldObject().(*corev1.Pod)
	if !isPod {
		return forbidden(a, "unexpected type %T", a.GetOldObject())
	}
	if old.Spec.NodeName != node {
		return forbidden(a, "node %q can only update pod status for pods with spec.nodeName set to itself", node)
	}
	pod, isPod := a.GetObject().(*corev1.Pod)
	switch {
	case !isPod:
		return forbidden(a, "unexpected type %T", a.GetObject())
	case !labels.Equals(old.Labels, pod.Labels):
		return forbidden(a, "node %q cannot update labels through pod status", node)
	case !equality.Semantic.DeepEqual(old.Status.ResourceClaimStatuses, pod.Status.ResourceClaimStatuses):
		return forbidden(a, "node %q cannot update resource claim statues", node)
	case !equality.Semantic.DeepEqual(old.Status.ExtendedResourceClaimStatus, pod.Status.ExtendedResourceClaimStatus):
		return forbidden(a, "node %q cannot update extended resource claim status", node)
	}
	return nil
}
