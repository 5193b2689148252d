package apiserver

import (
	"slices"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/tokenreview"
)

// TestListsAreCharged: a list takes a further turn of its caller, and a further place in flight, for each ten reviews. One that is
// refused takes none.
func TestListsAreCharged(t *testing.T) {
	t.Parallel()
	ann := &user.DefaultInfo{Name: "ann"}
	for _, test := range []struct {
		reviews, busy int // places of eight that others have
		refused       bool
		charged       []int
	}{
		{reviews: 1, charged: []int{0}},
		{reviews: 9, charged: []int{0}},
		{reviews: 25, charged: []int{2}},
		{reviews: 1000, charged: []int{100}}, // four places, which is half of all
		{reviews: 1000, busy: 4, charged: []int{100}},
		{reviews: 1000, busy: 5, refused: true},
		{reviews: 9, busy: 8, charged: []int{0}}, // the request itself has a place
	} {
		var charged []int
		l := &reviewLists{reviewer: tokenreview.New(tokenreview.Config{}), limit: newLimit(8), charge: func(caller user.Info, cost int) {
			if caller != ann {
				t.Errorf("%v is charged", caller)
			}
			charged = append(charged, cost)
		}}
		for range test.busy {
			l.limit.Begin()
		}
		results, err := l.DecideAll(t.Context(), ann, make([]authenticationv1.TokenReviewSpec, test.reviews)) // without tokens
		if apierrors.IsTooManyRequests(err) != test.refused || (err == nil) != (len(results) == test.reviews) || !slices.Equal(charged, test.charged) {
			t.Errorf("%+v: %d results, %v, charged %v", test, len(results), err, charged)
		}
		if got := len(l.limit.places); got != test.busy {
			t.Errorf("%+v: %d places are taken afterwards", test, got)
		}
	}
}
