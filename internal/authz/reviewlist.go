package authz

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// reviewLists is the resource of TokenReviewLists, which review many tokens in one request.
const reviewLists = "tokenreviewlists"

// needsReviews says which permission is missing where a TokenReviewList is refused.
const needsReviews = `"tokenreviewlists" of "mintmark.io" need the permission for "tokenreviews" in API group "authentication.k8s.io"`

// isReviewList reports whether a request is about TokenReviewLists.
func isReviewList(a authorizer.Attributes) bool {
	return a.GetResource() == reviewLists && a.GetAPIGroup() == v1alpha1.GroupName && a.IsResourceRequest()
}

// asReviews are the attributes of a request about TokenReviewLists, by which it is decided: callers may review many tokens if
// they may review one. No role has to name TokenReviewLists, and a role that names them gives nothing.
type asReviews struct{ authorizer.Attributes }

// GetAPIGroup returns the group of TokenReviews.
func (asReviews) GetAPIGroup() string { return authenticationv1.GroupName }

// GetAPIVersion returns the version of TokenReviews.
func (asReviews) GetAPIVersion() string { return authenticationv1.SchemeGroupVersion.Version }

// GetResource returns the resource of TokenReviews.
func (asReviews) GetResource() string { return "tokenreviews" }
