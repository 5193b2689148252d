package apiserver

import (
	"context"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// reviewListsPath is the path to which TokenReviewLists are posted.
var reviewListsPath = "/apis/" + mintmarkv1alpha1.SchemeGroupVersion.String() + "/tokenreviewlists"

// reviewsPerPlace is how many reviews of a list count as one request in flight: about as many as cost what one TokenReview does.
const reviewsPerPlace = 10

// reviewLists decides the reviews of TokenReviewLists, for both transports. A list counts by its size against the limit of
// requests in flight, and in the turns of its caller.
type reviewLists struct {
	reviewer *tokenreview.Reviewer
	limit    *limit
	// charge has a caller's list take further turns.
	charge func(caller user.Info, cost int)
}

// DecideAll decides all reviews of a list, or none if the server has too much to do.
func (l *reviewLists) DecideAll(ctx context.Context, caller user.Info, specs []authenticationv1.TokenReviewSpec) ([]tokenreview.Result, error) {
	// The request itself has a place. A list never needs more than half of all.
	further := min(len(specs)/reviewsPerPlace, cap(l.limit.places)/2)
	taken := 0
	defer func() {
		for range taken {
			l.limit.End()
		}
	}()
	for taken < further {
		if !l.limit.Begin() {
			if caller != nil && privileged(caller) {
				break
			}
			return nil, apierrors.NewTooManyRequests("Too many requests, please try again later, or with fewer reviews in one list.", 1)
		}
		taken++
	}
	l.charge(caller, len(specs)/reviewsPerPlace)
	return l.reviewer.DecideAll(ctx, specs), nil
}

// uncompressed has the answers to TokenReviewLists written as they are. Compressing one costs more than the reviews, and the fast
// path doesn't.
func uncompressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == reviewListsPath {
			r.Header.Del("Accept-Encoding")
		}
		next.ServeHTTP(w, r)
	})
}
