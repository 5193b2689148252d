package authorization

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/mintmark/mintmark/internal/authz"
)

// reviewSubject says whether a user may do something.
func reviewSubject(ctx context.Context, z *authz.Authorizer, review *authorizationv1.SubjectAccessReview, admit func() error,
) (_ *authorizationv1.SubjectAccessReview, err error) {
	errs := append(validateReviewSpec(&review.Spec), validateNoMetadata(review.ObjectMeta, "must be empty")...)
	review.Status, err = decide(ctx, z, questionOf(&review.Spec), errs, admit)
	return review, err
}
