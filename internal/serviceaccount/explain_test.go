package serviceaccount_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/explanation"
)

// explained counts the reviews of these tests, each of which is explained as well.
var explained, explainedRefusals atomic.Int64

// explain compares the explanation of a token with its review: verdict, user, audiences and error are the same, a check
// has failed if the token is refused, and the token is not in it.
func (s *server) explain(token string, asked []string, review authenticationv1.TokenReviewStatus) {
	s.t.Helper()
	used := len(s.used)
	explainer := &explanation.Explainer{Reviewer: s.reviewer}
	status, err := explainer.Explain(context.Background(), &authenticationv1.TokenReviewSpec{Token: token, Audiences: asked})
	if err != nil {
		s.t.Errorf("no explanation: %v", err)
		return
	}
	explained.Add(1)
	same := authenticationv1.TokenReviewStatus{
		Authenticated: status.Verdict == v1alpha1.VerdictAuthenticated, Error: status.Error, Audiences: status.Audiences,
	}
	if status.User != nil {
		same.User = *status.User
	}
	if diff := cmp.Diff(review, same); diff != "" {
		s.t.Errorf("the explanation differs from the review (-review +explanation):\n%s", diff)
	}
	failed := 0
	for _, check := range status.Checks {
		if check.Result == v1alpha1.CheckFailed {
			failed++
		}
	}
	if !review.Authenticated {
		explainedRefusals.Add(1)
	}
	// Of a token of the legacy issuer one of two readings may fail.
	if review.Authenticated != (status.Reason == "Accepted") || !review.Authenticated && failed == 0 && status.Reason != "NoCredential" {
		s.t.Errorf("reason %s and %d failed checks for a review with the error %q", status.Reason, failed, review.Error)
	}
	if len(s.used) != used {
		s.t.Error("an explanation is noted as a use of the token")
	}
	text, err := json.Marshal(status)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, secret := range []string{token, token[strings.LastIndexByte(token, '.')+1:]} {
		if len(secret) > 20 && strings.Contains(string(text), secret) {
			s.t.Error("the token, or its signature, is in the explanation")
		}
	}
}
