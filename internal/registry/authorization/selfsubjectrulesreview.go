package authorization

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mintmark/mintmark/internal/authz"
)

// reviewSelfRules says what the caller may do in a namespace, as far as rules can tell.
func reviewSelfRules(ctx context.Context, z *authz.Authorizer, review *authorizationv1.SelfSubjectRulesReview, admit func() error,
) (*authorizationv1.SelfSubjectRulesReview, error) {
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if review.Spec.Namespace == "" {
		return nil, apierrors.NewBadRequest("no namespace on request")
	}
	if err := admit(); err != nil {
		return nil, err
	}
	return &authorizationv1.SelfSubjectRulesReview{
		Status: authz.ReviewRules(ctx, z, caller, review.Spec.Namespace),
	}, nil
}
