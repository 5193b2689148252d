package fastpath

import (
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/plainjson"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// maxList is the longest body of a list, which is that of all objects of the API.
const maxList = 3 << 20

// maxListAnswer is no limit in practice: answers to lists are not compressed.
const maxListAnswer = 1 << 30

// addLists adds the endpoint for lists of reviews.
func (h *Handler) addLists() {
	gv := v1alpha1.SchemeGroupVersion
	t := &route{
		resource: gv.WithResource("tokenreviewlists"), kind: gv.WithKind("TokenReviewList"), lists: h.Lists,
		maxBody: maxList, maxAnswer: maxListAnswer,
	}
	t.series = h.metrics.of(t)
	h.reviews["/apis/"+gv.String()+"/tokenreviewlists"] = t
}

var (
	listMembers = []string{"reviews"}
	listStatus  = []string{"results"}
)

// usualList is as many reviews as a list usually has at most.
const usualList = 128

// list takes a list of reviews. A client may send an empty status.
func (s *reader) list() (reviews []authenticationv1.TokenReviewSpec) {
	gv := v1alpha1.SchemeGroupVersion
	s.typed("TokenReviewList", gv.String(), func() {
		s.Object(listMembers, func(int) {
			reviews = make([]authenticationv1.TokenReviewSpec, 0, usualList)
			s.Array(func() {
				reviews = append(reviews, authenticationv1.TokenReviewSpec{})
				s.reviewSpec(&reviews[len(reviews)-1])
			})
		})
	}, func() {
		s.Object(listStatus, func(int) { s.MustNull() })
	})
	return reviews
}

// writeResults writes the answer to a list. It has no spec, so it repeats no token.
func writeResults(w *plainjson.Writer, results []tokenreview.Result) {
	*w = slices.Grow(*w, len(results)*usualResult)
	w.Raw(`{"kind":"TokenReviewList","apiVersion":"mintmark.io/v1alpha1","metadata":{},"status":{"results":[`)
	for i := range results {
		if i > 0 {
			w.Raw(",")
		}
		if err := results[i].Err; err != nil {
			failure := tokenreview.FailureOf(err)
			writeFailure(w, &failure)
			continue
		}
		w.Raw(`{"status":`)
		writeVerdict(w, &results[i].Verdict)
		w.Raw("}")
	}
	w.Raw("]}}")
}

// usualResult is the usual length of a result.
const usualResult = 640

func writeFailure(w *plainjson.Writer, failure *v1alpha1.TokenReviewFailure) {
	w.Raw(`{"failure":{"code":`)
	w.Int(int64(failure.Code))
	w.Raw(`,"reason":`)
	w.String(string(failure.Reason))
	w.Raw(`,"message":`)
	w.String(failure.Message)
	if failure.RetryAfterSeconds != 0 {
		w.Raw(`,"retryAfterSeconds":`)
		w.Int(int64(failure.RetryAfterSeconds))
	}
	w.Raw("}}")
}
