package mintmark

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
)

// Explainer explains the verdict about a token. An error means that there was nothing to explain.
type Explainer interface {
	Explain(ctx context.Context, spec *authenticationv1.TokenReviewSpec) (mintmarkv1alpha1.TokenExplanationStatus, error)
}

// tokenExplanations serves tokenexplanations. An explanation is answered and not stored. The answer does not repeat the
// token.
type tokenExplanations struct {
	registry.Unstored
	explainer Explainer
}

var _ rest.Creater = (*tokenExplanations)(nil)

func newTokenExplanations(explainer Explainer) *tokenExplanations {
	return &tokenExplanations{registry.Unstored{Empty: &mintmarkv1alpha1.TokenExplanation{}, Singular: "tokenexplanation"}, explainer}
}

// Create explains the verdict about a token.
func (t *tokenExplanations) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	explanation, ok := obj.(*mintmarkv1alpha1.TokenExplanation)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenExplanation: %T", obj))
	}
	if validate != nil && explanation.Spec.Token != "" {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	status, err := t.explainer.Explain(ctx, &explanation.Spec)
	if err != nil {
		return nil, err
	}
	// Past the deadline an authenticator may have been skipped, so the verdict doesn't count.
	if ctx.Err() != nil {
		return nil, apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	}
	explanation.Spec.Token, explanation.Status = "", status
	// An explanation isn't stored, so no manager owns its fields.
	explanation.ManagedFields = nil
	return explanation, nil
}
