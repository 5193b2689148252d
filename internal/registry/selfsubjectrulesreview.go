package registry

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/authz"
)

// SelfSubjectRulesReviews is selfsubjectrulesreviews: what the caller may do in a namespace, as far as it can be told
// as rules.
type SelfSubjectRulesReviews struct{ authorizer *authz.Authorizer }

var _ interface {
	rest.Storage
	rest.Creater
	rest.Scoper
	rest.SingularNameProvider
} = (*SelfSubjectRulesReviews)(nil)

// New returns an empty review.
func (*SelfSubjectRulesReviews) New() runtime.Object {
	return &authorizationv1.SelfSubjectRulesReview{}
}

// Destroy has nothing to release.
func (*SelfSubjectRulesReviews) Destroy() {}

// NamespaceScoped says whether reviews are in a namespace.
func (*SelfSubjectRulesReviews) NamespaceScoped() bool { return false }

// GetSingularName is the name of one review.
func (*SelfSubjectRulesReviews) GetSingularName() string { return "selfsubjectrulesreview" }

// Create answers a review.
func (s *SelfSubjectRulesReviews) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*authorizationv1.SelfSubjectRulesReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a SelfSubjectRulesReview: %#v", obj))
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
