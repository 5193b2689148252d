package authentication

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// TokenReviews serves tokenreviews. A review is answered and not stored.
type TokenReviews struct {
	registry.Unstored
	reviewer *tokenreview.Reviewer
}

var _ rest.Creater = (*TokenReviews)(nil)

// NewTokenReviews returns the storage of tokenreviews.
func NewTokenReviews(reviewer *tokenreview.Reviewer) *TokenReviews {
	return &TokenReviews{registry.Unstored{Empty: &authenticationv1.TokenReview{}, Singular: "tokenreview"}, reviewer}
}

// Create reviews a token.
func (t *TokenReviews) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(*authenticationv1.TokenReview)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenReview: %T", obj))
	}
	if namespace := genericapirequest.NamespaceValue(ctx); namespace != "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("namespace is not allowed on this type: %v", namespace))
	}
	// Without a token there is nothing to admit.
	if validate != nil && review.Spec.Token != "" {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	status, err := t.reviewer.Review(ctx, &review.Spec)
	if err != nil {
		return nil, err
	}
	// Past the deadline an authenticator may have been skipped, so the verdict doesn't count.
	if ctx.Err() != nil {
		return nil, apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	}
	review.Status = status
	// A review isn't stored, so no manager owns its fields.
	review.ManagedFields = nil
	return review, nil
}
