package mintmarktest_test

import (
	"encoding/json"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/mintmarktest"
)

// TestLists: what a test asks for happens to the reviews of a TokenReviewList as to those that come alone.
func TestLists(t *testing.T) {
	server := mintmarktest.Start(t)
	good, other := server.Issue("shop/cart", forProxy), server.Issue("shop/other", forProxy)
	review := func(body string) (list v1alpha1.TokenReviewList, err error) {
		result := server.Client.CoreV1().RESTClient().Post().AbsPath("/apis/mintmark.io/v1alpha1/tokenreviewlists").
			SetHeader("Content-Type", "application/yaml").Body([]byte(body)).Do(t.Context())
		if err := result.Error(); err != nil {
			return list, err
		}
		text, err := result.Raw()
		if err != nil {
			return list, err
		}
		return list, json.Unmarshal(text, &list)
	}
	body := "{spec: {reviews: [{token: " + good + ", audiences: [my-proxy]}, {token: ''}, {token: " + other + ", audiences: [my-proxy]}, {token: junk}]}}"
	var seen []authenticationv1.TokenReview
	server.OnReview(func(review *authenticationv1.TokenReview) {
		seen = append(seen, *review.DeepCopy())
		if review.Spec.Token == other {
			review.Status = authenticationv1.TokenReviewStatus{Error: "not today"}
		}
	})
	list, err := review(body)
	if err != nil || len(list.Status.Results) != 4 {
		t.Fatalf("%+v, %v", list.Status, err)
	}
	results := list.Status.Results
	if results[0].Status == nil || !results[0].Status.Authenticated || results[1].Status != nil || results[1].Failure == nil ||
		results[2].Status == nil || results[2].Status.Error != "not today" || results[2].Status.Authenticated || results[3].Status == nil {
		t.Errorf("%+v", results)
	}
	if len(seen) != 3 || seen[0].Spec.Token != good || seen[0].Status.User.Username != "system:serviceaccount:shop:cart" ||
		seen[1].Status.User.Username != "system:serviceaccount:shop:other" || seen[2].Spec.Token != "junk" || seen[2].Status.Authenticated {
		t.Errorf("seen: %+v", seen)
	}
	server.OnReview(nil)

	for _, path := range []string{"/tokenreviews", "/tokenreviewlists"} {
		server.FailNext(1, mintmarktest.Failure{Path: path, Status: 500})
		if _, err := review(body); !apierrors.IsInternalError(err) {
			t.Errorf("a failure at %s: %v", path, err)
		}
	}
	server.FailNext(1, mintmarktest.Failure{Path: "/pods", Status: 500})
	if list, err := review(body); err != nil || len(list.Status.Results) != 4 || !list.Status.Results[2].Status.Authenticated {
		t.Errorf("after the failures: %+v, %v", list.Status, err)
	}
}
