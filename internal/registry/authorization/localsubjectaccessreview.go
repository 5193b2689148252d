package authorization

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/authz"
)

// reviewLocalSubject says whether a user may do something in the namespace of the review. The right to ask can be granted
// for a namespace.
func reviewLocalSubject(ctx context.Context, z *authz.Authorizer, review *authorizationv1.LocalSubjectAccessReview, admit func() error,
) (_ *authorizationv1.LocalSubjectAccessReview, err error) {
	review.Status, err = decide(ctx, z, questionOf(&review.Spec), validateLocalReview(review), admit)
	return review, err
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
