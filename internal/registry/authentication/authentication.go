// Package authentication provides the REST storage of authentication.k8s.io: TokenReview and SelfSubjectReview, which are
// answered and not stored. It also provides POST /authenticate, the token webhook of a kube-apiserver, which reviews the same
// TokenReview under another path.
package authentication

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// Storage returns the API group authentication.k8s.io.
func Storage(reviewer *tokenreview.Reviewer) registry.Group {
	return registry.Group{Version: authenticationv1.SchemeGroupVersion, Resources: map[string]rest.Storage{
		"tokenreviews":       NewTokenReviews(reviewer),
		"selfsubjectreviews": NewSelfSubjectReviews(),
	}}
}
