package boundobject

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mintmark/mintmark/internal/view"
)

var (
	podKind    = schema.GroupKind{Kind: "Pod"}
	secretKind = schema.GroupKind{Kind: "Secret"}
	nodeKind   = schema.GroupKind{Kind: "Node"}
	// KEP-6060 binds tokens to these; Mintmark doesn't know them, and says so as a server with the gate off does.
	validatingWebhookKind = schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}
	mutatingWebhookKind   = schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}
)

// Bind resolves the object reference of a token request and adds the object to the binding of the service account. The
// errors are API errors, as kube-apiserver answers them.
func (x *Index) Bind(ctx context.Context, b Binding, ref *authenticationv1.BoundObjectReference) (Binding, error) {
	if ref == nil {
		return b, nil
	}
	// Only group and kind count: any version is accepted, even one that doesn't parse.
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	var err error
	switch gvk.GroupKind() {
	case podKind:
		b.Pod, b.Node, err = x.bindPod(ctx, b, ref)
		return b, matchUID(ref, b.Pod.UID, err)
	case secretKind:
		secret, err := resolve(ctx, x.Secrets, b.Namespace, ref)
		b.Secret = Ref{Name: ref.Name, UID: secret.UID}
		return b, matchUID(ref, secret.UID, err)
	case nodeKind:
		node, err := resolve(ctx, x.Nodes, "", ref)
		b.Node = Ref{Name: ref.Name, UID: node.UID}
		return b, matchUID(ref, node.UID, err)
	case validatingWebhookKind, mutatingWebhookKind:
		return b, apierrors.NewBadRequest(fmt.Sprintf(
			"cannot bind token to object of type %s (feature gate APIServerWebhookAuthenticationToken is disabled)", gvk.String()))
	default:
		return b, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", gvk.String()))
	}
}

// bindPod returns the pod and the node it is on.
func (x *Index) bindPod(ctx context.Context, b Binding, ref *authenticationv1.BoundObjectReference) (pod, node Ref, err error) {
	record, err := resolve(ctx, x.Pods, b.Namespace, ref)
	if err != nil {
		return Ref{}, Ref{}, err
	}
	switch record.ServiceAccount {
	case b.ServiceAccount.Name:
	case "":
		// Upstream's admission gives every pod an account, so its text tells of another one only.
		return Ref{}, Ref{}, apierrors.NewBadRequest(fmt.Sprintf(
			"cannot bind token for serviceaccount %q to pod running with different serviceaccount name. "+
				"The pod %q has none: make it with spec.serviceAccountName", b.ServiceAccount.Name, ref.Name))
	default:
		return Ref{}, Ref{}, apierrors.NewBadRequest(fmt.Sprintf(
			"cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", b.ServiceAccount.Name))
	}
	pod = Ref{Name: ref.Name, UID: record.UID}
	if record.Node == "" {
		return pod, Ref{}, nil
	}
	found, err := x.Nodes.Lookup(ctx, "", record.Node)
	if unread(err) {
		return Ref{}, Ref{}, err
	}
	// A node that isn't there is still named: a pod may be assigned to a node that has yet to join.
	return pod, Ref{Name: record.Node, UID: found.UID}, nil
}

// resolve returns the record of the object that is referred to. Where memory holds one of another UID than the reference
// insists on, the storage decides: another replica may have made the object anew.
func resolve[T identified](ctx context.Context, view *view.View[T], namespace string, ref *authenticationv1.BoundObjectReference) (T, error) {
	record, err := view.Lookup(ctx, namespace, ref.Name)
	if err == nil && ref.UID != "" && record.identity().UID != ref.UID {
		return view.Read(ctx, namespace, ref.Name)
	}
	return record, err
}

// matchUID refuses a reference that insists on another UID than the object has.
func matchUID(ref *authenticationv1.BoundObjectReference, found types.UID, lookup error) error {
	if lookup != nil || ref.UID == "" || ref.UID == found {
		return lookup
	}
	return apierrors.NewConflict(schema.GroupResource{Resource: ref.Kind}, ref.Name, UIDMismatch(ref.UID))
}

// UIDMismatch says that the object of a reference has another UID than the reference insists on. The text is
// kube-apiserver's.
func UIDMismatch(uid types.UID) error {
	return fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", uid)
}
