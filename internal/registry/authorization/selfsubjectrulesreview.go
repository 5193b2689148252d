package authorization

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/registry"
)

// SelfSubjectRulesReviews serves selfsubjectrulesreviews: the rules that allow the caller something in a namespace, as far
// as the authorizers can list them.
type SelfSubjectRulesReviews struct {
	registry.Unstored
	authorizer *authz.Authorizer
}

var _ rest.Creater = (*SelfSubjectRulesReviews)(nil)

// Create answers a review.
func (s *SelfSubjectRulesReviews) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*authorizationv1.SelfSubjectRulesReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a SelfSubjectRulesReview: %T", obj))
	}
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if review.Spec.Namespace == "" {
		return nil, apierrors.NewBadRequest("no namespace on request")
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	return &authorizationv1.SelfSubjectRulesReview{
		Status: authz.ReviewRules(ctx, s.authorizer, caller, review.Spec.Namespace),
	}, nil
}
