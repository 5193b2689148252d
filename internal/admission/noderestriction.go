package admission

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/view"
)

// NodeRestriction is the plugin of that name: it holds nodes to their own pods and their own node object, and to tokens
// that their pods want.
type NodeRestriction struct {
	// Pods are read as they are stored, at every request of a node.
	Pods *view.View[boundobject.Pod]
	// Authorizer says which further audiences a node may ask for.
	Authorizer authorizer.UnconditionalAuthorizer
}

var _ interface {
	admission.Interface
	admission.MutationInterface
} = NodeRestriction{}

// Handles reports whether requests of a kind are checked.
func (NodeRestriction) Handles(operation admission.Operation) bool {
	return operation == admission.Create || operation == admission.Update || operation == admission.Delete
}

// Admit refuses what a node may not do, although it may do such things. It changes nothing, but comes before all checks of
// the object.
func (n NodeRestriction) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	node, isNode := authz.NodeName(a.GetUserInfo())
	if !isNode {
		return nil
	}
	if node == "" {
		return forbidden(a, "could not determine node from user %q", a.GetUserInfo().GetName())
	}
	switch resource := a.GetResource().GroupResource(); {
	case resource == corev1.Resource("pods"):
		return n.admitPod(ctx, node, a)
	case resource == corev1.Resource("nodes"):
		return admitNode(node, a)
	case resource == corev1.Resource("serviceaccounts") && a.GetSubresource() == "token" && a.GetOperation() == admission.Create:
		return n.admitToken(ctx, node, a)
	}
	return nil
}

// forbidden is what a node is told.
func forbidden(a admission.Attributes, format string, args ...any) error {
	return admission.NewForbidden(a, fmt.Errorf(format, args...)) //nolint:err113 // the text is the API's
}

// admitToken lets a node have tokens that are bound to a pod of its own, and for an audience that the pod mounts a token
// of.
func (n NodeRestriction) admitToken(ctx context.Context, node string, a admission.Attributes) error {
	request, ok := a.GetObject().(*authenticationv1.TokenRequest)
	if !ok {
		return forbidden(a, "unexpected type %T", a.GetObject())
	}
	ref := request.Spec.BoundObjectRef
	if ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "" {
		return forbidden(a, "node requested token not bound to a pod")
	}
	if ref.UID == "" {
		return forbidden(a, "node requested token with a pod binding without a uid")
	}
	pod, err := n.pod(ctx, a.GetNamespace(), ref.Name)
	if err != nil {
		return err
	}
	if pod.UID != ref.UID {
		return forbidden(a, "%v", boundobject.UIDMismatch(ref.UID))
	}
	if pod.Spec.NodeName != node {
		return forbidden(a, "node requested token bound to a pod scheduled on a different node")
	}
	return n.admitAudience(ctx, request.Spec.Audiences, pod, a)
}

func (n NodeRestriction) admitAudience(ctx context.Context, audiences []string, pod *corev1.Pod, a admission.Attributes) error {
	wanted := ""
	switch len(audiences) {
	case 0: // the server's own, which is written as the empty one
	case 1:
		wanted = audiences[0]
	default:
		return forbidden(a, "node may only request 0 or 1 audiences")
	}
	if mounts(pod, wanted) {
		return nil
	}
	decision, _, err := n.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User:            a.GetUserInfo(),
		Verb:            "request-serviceaccounts-token-audience",
		Namespace:       a.GetNamespace(),
		APIVersion:      "v1",
		Resource:        wanted,
		Name:            a.GetName(),
		ResourceRequest: true,
	})
	if err == nil && decision == authorizer.DecisionAllow {
		return nil
	}
	return forbidden(a, "audience %q not found in pod spec volume, %s is not authorized to request tokens for this audience",
		wanted, a.GetUserInfo().GetName())
}

// mounts reports whether a pod mounts a token for an audience.
func mounts(pod *corev1.Pod, audience string) bool {
	for _, volume := range pod.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ServiceAccountToken != nil && source.ServiceAccountToken.Audience == audience {
				return true
			}
		}
	}
	return false
}

// pod returns a pod as it is stored. The error is that of kube-apiserver's memory, which names the kind in the singular.
func (n NodeRestriction) pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	obj, err := n.Pods.Object(ctx, namespace, name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pod"}, name)
	case err != nil:
		return nil, err
	}
	return obj.(*corev1.Pod), nil
}

// admitPod lets a node make mirrors of its static pods, and change and delete what runs on it.
func (n NodeRestriction) admitPod(ctx context.Context, node string, a admission.Attributes) error {
	switch a.GetSubresource() {
	case "":
		switch a.GetOperation() {
		case admission.Create:
			return admitMirror(node, a)
		case admission.Delete:
			return n.ownPod(ctx, node, a, "node %q can only delete pods with spec.nodeName set to itself")
		}
		return forbidden(a, "unexpected operation %q, node %q can only create, update, and delete mirror pods", a.GetOperation(), node)
	case "status":
		return n.ownPod(ctx, node, a, "node %q can only update pod status for pods with spec.nodeName set to itself")
	case "eviction":
		return n.ownPod(ctx, node, a, "node %s can only evict pods with spec.nodeName set to itself")
	}
	return forbidden(a, "unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.GetSubresource())
}

func (n NodeRestriction) ownPod(ctx context.Context, node string, a admission.Attributes, text string) error {
	pod, err := n.pod(ctx, a.GetNamespace(), a.GetName())
	switch {
	case apierrors.IsNotFound(err):
		return nil // there is nothing to be protected
	case err != nil:
		return err
	case pod.Spec.NodeName != node:
		return forbidden(a, text, node)
	}
	return nil
}

// admitMirror keeps a node from making a pod by which it would get at an account or a secret.
func admitMirror(node string, a admission.Attributes) error {
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return forbidden(a, "unexpected type %T", a.GetObject())
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		return forbidden(a, "pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node)
	}
	if pod.Spec.NodeName != node {
		return forbidden(a, "node %q can only create pods with spec.nodeName set to itself", node)
	}
	if len(pod.OwnerReferences) != 1 || pod.OwnerReferences[0].Kind != "Node" || pod.OwnerReferences[0].Name != node {
		return forbidden(a, "node %q can only create pods with an owner reference set to itself", node)
	}
	if pod.Spec.ServiceAccountName != "" {
		return forbidden(a, "node %q can not create pods that reference a service account", node)
	}
	found := ""
	authz.VisitReferences(&pod.Spec, func(resource, _ string) { found = resource })
	if found != "" {
		return forbidden(a, "node %q can not create pods that reference %s", node, found)
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			return forbidden(a, "node %q can not create pods that reference persistentvolumeclaims", node)
		}
		if volume.Projected != nil && slices.ContainsFunc(volume.Projected.Sources, func(s corev1.VolumeProjection) bool { return s.ServiceAccountToken != nil }) {
			return forbidden(a, "node %q can not create pods that reference a service account", node)
		}
	}
	return nil
}

// admitNode lets a node change its own node object, but not what says which pods come to it.
func admitNode(node string, a admission.Attributes) error {
	object, _ := a.GetObject().(*corev1.Node)
	name := a.GetName()
	if name == "" && object != nil {
		name = object.Name
	}
	if name != node {
		return forbidden(a, "node %q is not allowed to modify node %q", node, name)
	}
	if object == nil {
		return nil
	}
	var before corev1.Node
	if old, ok := a.GetOldObject().(*corev1.Node); ok && a.GetOperation() == admission.Update {
		before = *old
		if !equality.Semantic.DeepEqual(object.Spec.Taints, old.Spec.Taints) {
			return forbidden(a, "node %q is not allowed to modify taints", node)
		}
	}
	if kept := restricted(object.Labels); !maps.Equal(kept, restricted(before.Labels)) {
		return forbidden(a, "node %q is not allowed to modify labels: %s", node, strings.Join(slices.Sorted(maps.Keys(kept)), ", "))
	}
	if len(object.OwnerReferences) > 0 && !equality.Semantic.DeepEqual(object.OwnerReferences, before.OwnerReferences) {
		return forbidden(a, "node %q is not allowed to modify ownerReferences", node)
	}
	return nil
}

// restricted are the labels that administrators alone may put on nodes.
func restricted(labels map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range labels {
		domain, _, _ := strings.Cut(key, "/")
		if domain == corev1.LabelNamespaceNodeRestriction || strings.HasSuffix(domain, "."+corev1.LabelNamespaceNodeRestriction) {
			kept[key] = value
		}
	}
	return kept
}
