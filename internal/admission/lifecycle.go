// Package admission provides the admission plugins NamespaceLifecycle, NodeRestriction, NodeBootstrap, CertificateApproval,
// CertificateSigning and CertificateSubjectRestriction. They check a request between its decoding and its storage, against
// the live views.
package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/view"
)

// immortal holds the namespaces that can't be deleted, as upstream.
var immortal = map[string]bool{metav1.NamespaceDefault: true, metav1.NamespaceSystem: true, metav1.NamespacePublic: true}

// NamespaceLifecycle refuses new objects in namespaces that are missing or being deleted.
type NamespaceLifecycle struct {
	// Namespaces are looked up at every request.
	Namespaces *view.View[boundobject.Namespace]
}

var _ interface {
	admission.Interface
	admission.MutationInterface
} = NamespaceLifecycle{}

// Handles reports whether requests of a kind are checked.
func (NamespaceLifecycle) Handles(operation admission.Operation) bool {
	return operation == admission.Create || operation == admission.Update || operation == admission.Delete
}

// Admit refuses a request in a namespace that is missing or being deleted. It changes nothing, but runs in the mutating phase,
// before the object is validated, as kube-apiserver's plugin does.
func (n NamespaceLifecycle) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetKind().GroupKind() == corev1.SchemeGroupVersion.WithKind("Namespace").GroupKind() {
		if a.GetOperation() == admission.Delete && immortal[a.GetName()] {
			return apierrors.NewForbidden(a.GetResource().GroupResource(), a.GetName(), fmt.Errorf("this namespace may not be deleted"))
		}
		return nil
	}
	if a.GetNamespace() == "" || a.GetOperation() == admission.Delete || isAccessReview(a) {
		return nil
	}
	find := n.Namespaces.Lookup
	if a.GetOperation() == admission.Create && a.GetSubresource() == "" {
		// The new object outlives the request. A replica that lags behind must not put it into a namespace that is gone,
		// where it would come to life for the next owner of the name.
		find = n.Namespaces.Read
	}
	namespace, err := find(ctx, "", a.GetNamespace())
	if err != nil {
		return err
	}
	if a.GetOperation() == admission.Create && namespace.Terminating {
		return terminating(a)
	}
	return nil
}

// isAccessReview reports whether a request is an access review. Reviews may be about a namespace that doesn't exist.
func isAccessReview(a admission.Attributes) bool {
	resource := a.GetResource()
	return resource.Group == "authorization.k8s.io" && resource.Resource == "localsubjectaccessreviews"
}

func terminating(a admission.Attributes) error {
	err := admission.NewForbidden(a, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", a.GetNamespace()))
	if status, ok := err.(*apierrors.StatusError); ok { //nolint:errorlint // made in the line above
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{
			Type:    corev1.NamespaceTerminatingCause,
			Message: fmt.Sprintf("namespace %s is being terminated", a.GetNamespace()),
			Field:   "metadata.namespace",
		})
	}
	return err
}
