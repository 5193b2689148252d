package openshift

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry/authentication"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// TokenReviews is tokenreviews of oauth.openshift.io. Request and answer are a TokenReview of
// authentication.k8s.io; only the path differs.
type TokenReviews struct{ *authentication.TokenReviews }

var _ interface {
	rest.Creater
	rest.GroupVersionKindProvider
} = TokenReviews{}

// NewTokenReviews returns the storage of tokenreviews.
func NewTokenReviews(reviewer *tokenreview.Reviewer) TokenReviews {
	return TokenReviews{authentication.NewTokenReviews(reviewer)}
}

// GroupVersionKind is the kind of the reviews.
func (TokenReviews) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenReview")
}
