package authorization

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/registry"
)

// LocalSubjectAccessReviews serves localsubjectaccessreviews: whether a user may do something in the review's namespace. The right
// to ask can be granted in that namespace.
type LocalSubjectAccessReviews struct {
	registry.Unstored
	authorizer *authz.Authorizer
}

var _ rest.Creater = (*LocalSubjectAccessReviews)(nil)

// Create answers a review.
func (s *LocalSubjectAccessReviews) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*authorizationv1.LocalSubjectAccessReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a LocalSubjectAccessReview: %T", obj))
	}
	q := authz.Question{
		User: authz.Subject(&review.Spec), Resource: review.Spec.ResourceAttributes, NonResource: review.Spec.NonResourceAttributes,
	}
	status, err := decide(ctx, s.authorizer, q, validateLocalReview(review), obj, validate)
	if err != nil {
		return nil, err
	}
	review.Status = status
	return review, nil
}

func validateLocalReview(review *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
	errs := validateReviewSpec(&review.Spec)
	meta := review.ObjectMeta
	meta.Namespace = ""
	if len(validateNoMetadata(meta, "")) > 0 {
		errs = append(errs, validateNoMetadata(review.ObjectMeta, "must be empty except for namespace")...)
	}
	if r := review.Spec.ResourceAttributes; r != nil && r.Namespace != review.Namespace {
		errs = append(errs, field.Invalid(resourcePath.Child("namespace"), r.Namespace, "must match metadata.namespace"))
	}
	if n := review.Spec.NonResourceAttributes; n != nil {
		errs = append(errs, field.Invalid(nonResourcePath, shown(n), "disallowed on this kind of request"))
	}
	return errs
}
