package authorization

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/registry"
)

// reviews is the storage of a kind R of access reviews: they are answered and not stored.
type reviews[R runtime.Object] struct {
	registry.Unstored
	kind       string
	authorizer *authz.Authorizer
	answer     answer[R]
}

// answer answers a review. It calls admit once the review has been validated.
type answer[R runtime.Object] func(ctx context.Context, z *authz.Authorizer, review R, admit func() error) (R, error)

func newReviews[R runtime.Object](z *authz.Authorizer, empty R, kind, singular string, namespaced bool, answer answer[R]) *reviews[R] {
	return &reviews[R]{registry.Unstored{Empty: empty, Singular: singular, Namespaced: namespaced}, kind, z, answer}
}

// Create answers a review.
func (s *reviews[R]) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review, ok := obj.(R)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a %s: %T", s.kind, obj))
	}
	answered, err := s.answer(ctx, s.authorizer, review, func() error {
		if validate == nil {
			return nil
		}
		return validate(ctx, obj.DeepCopyObject())
	})
	if err != nil {
		return nil, err
	}
	return answered, nil
}
