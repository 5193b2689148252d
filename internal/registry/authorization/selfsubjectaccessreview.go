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

// SelfSubjectAccessReviews serves selfsubjectaccessreviews: whether the caller may do something.
type SelfSubjectAccessReviews struct {
	registry.Unstored
	authorizer *authz.Authorizer
}

var _ rest.Creater = (*SelfSubjectAccessReviews)(nil)

// Create answers a review.
func (s *SelfSubjectAccessReviews) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*authorizationv1.SelfSubjectAccessReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a SelfSubjectAccessReview: %T", obj))
	}
	caller, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	q := authz.Question{User: caller, Resource: review.Spec.ResourceAttributes, NonResource: review.Spec.NonResourceAttributes}
	errs := append(validateQuestion(q.Resource, q.NonResource), validateSelectors(q.Resource)...)
	errs = append(errs, validateNoMetadata(review.ObjectMeta, "must be empty")...)
	status, err := decide(ctx, s.authorizer, q, errs, obj, validate)
	if err != nil {
		return nil, err
	}
	review.Status = status
	return review, nil
}
