package admission

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/view"
)

// NodeRestriction is the plugin of that name. It keeps a node from changing pods of other nodes and other Node objects, from
// setting the labels and taints by which pods are steered to it, from getting tokens that none of its pods mounts, and from asking
// for certificates of another node. It has the rules of kube-apiserver's plugin for each resource that is served.
type NodeRestriction struct {
	// Pods are read as they are stored, at every request of a node.
	Pods *view.View[boundobject.Pod]
	// Nodes have the UID that a mirror pod's owner reference must name.
	Nodes *view.View[boundobject.Node]
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

// Admit applies the rules to requests of nodes. It changes nothing, but runs in the mutating phase, so it sees an object before
// the storage resets fields and validates it.
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
	case resource == coordinationv1.Resource("leases"):
		return admitLease(node, a)
	case resource == signingRequests && a.GetSubresource() == "" && a.GetOperation() == admission.Create:
		return admitSigningRequest(a)
	}
	return nil
}

// forbidden returns the 403 that a node is answered with.
func forbidden(a admission.Attributes, format string, args ...any) error {
	return admission.NewForbidden(a, fmt.Errorf(format, args...)) //nolint:err113 // the text is the API's
}

// admitLease lets a node write the one lease by which it says that it is alive.
func admitLease(node string, a admission.Attributes) error {
	if a.GetNamespace() != corev1.NamespaceNodeLease {
		return forbidden(a, "can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	}
	name := a.GetName()
	if a.GetOperation() == admission.Create {
		lease, ok := a.GetObject().(*coordinationv1.Lease)
		if !ok {
			return forbidden(a, "unexpected type %T", a.GetObject())
		}
		name = lease.Name
	}
	if name != node {
		return forbidden(a, "can only access node lease with the same name as the requesting node")
	}
	return nil
}

// admitToken lets a node request tokens that are bound to one of its pods, for an audience for which the pod mounts a token.
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
	case 0: // the server's own audience, which a volume writes as the empty one
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

// pod returns a pod as it is stored. The error is that of kube-apiserver's cache, which names the kind in the singular. No
// pod has an empty name.
func (n NodeRestriction) pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "pod"}, name)
	if name == "" {
		return nil, missing
	}
	obj, err := n.Pods.Object(ctx, namespace, name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, missing
	case err != nil:
		return nil, err
	}
	return obj.(*corev1.Pod), nil
}
