package mintmark

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// Reviewer decides many reviews, each as a TokenReview is decided. With an error it decides none.
type Reviewer interface {
	DecideAll(ctx context.Context, caller user.Info, specs []authenticationv1.TokenReviewSpec) ([]tokenreview.Result, error)
}

// tokenReviewLists serves tokenreviewlists. A list is answered and not stored. The answer does not repeat the tokens. Callers may
// create one if they may create tokenreviews of authentication.k8s.io: see internal/authz.
type tokenReviewLists struct {
	registry.Unstored
	reviewer Reviewer
}

var _ rest.Creater = (*tokenReviewLists)(nil)

func newTokenReviewLists(reviewer Reviewer) *tokenReviewLists {
	return &tokenReviewLists{registry.Unstored{Empty: &mintmarkv1alpha1.TokenReviewList{}, Singular: "tokenreviewlist"}, reviewer}
}

// Create reviews the tokens.
func (t *tokenReviewLists) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	list, ok := obj.(*mintmarkv1alpha1.TokenReviewList)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenReviewList: %T", obj))
	}
	if errs := validateReviews(list.Spec.Reviews); len(errs) > 0 {
		return nil, apierrors.NewInvalid(mintmarkv1alpha1.SchemeGroupVersion.WithKind("TokenReviewList").GroupKind(), list.Name, errs)
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	caller, _ := genericapirequest.UserFrom(ctx)
	results, err := t.reviewer.DecideAll(ctx, caller, list.Spec.Reviews)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	}
	tokenreview.CountAll(results)
	list.Spec, list.Status = mintmarkv1alpha1.TokenReviewListSpec{}, mintmarkv1alpha1.TokenReviewListStatus{Results: make([]mintmarkv1alpha1.TokenReviewResult, len(results))}
	for i := range results {
		list.Status.Results[i] = results[i].API()
	}
	// A list isn't stored, so no manager owns its fields.
	list.ManagedFields = nil
	return list, nil
}

// validateReviews checks how many reviews there are. What is wrong with one of them is told in its result.
func validateReviews(reviews []authenticationv1.TokenReviewSpec) field.ErrorList {
	path := field.NewPath("spec", "reviews")
	switch n := len(reviews); {
	case n == 0:
		return field.ErrorList{field.Required(path, "name at least one token to review")}
	case n > mintmarkv1alpha1.MaxTokenReviews:
		err := field.TooMany(path, n, mintmarkv1alpha1.MaxTokenReviews)
		err.Detail += "; send the others in further requests"
		return field.ErrorList{err}
	}
	return nil
}
