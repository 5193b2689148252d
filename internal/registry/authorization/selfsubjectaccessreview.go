package authorization

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/mintmark/mintmark/internal/authz"
)

// reviewSelf says whether the caller may do something.
func reviewSelf(ctx context.Context, z *authz.Authorizer, review *authorizationv1.SelfSubjectAccessReview, admit func() error,
) (*authorizationv1.SelfSubjectAccessReview, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	q := authz.Question{User: caller, Resource: review.Spec.ResourceAttributes, NonResource: review.Spec.NonResourceAttributes}
	errs := append(validateQuestion(q.Resource, q.NonResource), validateSelectors(q.Resource)...)
	errs = append(errs, validateNoMetadata(review.ObjectMeta, "must be empty")...)
	review.Status, err = decide(ctx, z, q, errs, admit)
	return review, err
}
