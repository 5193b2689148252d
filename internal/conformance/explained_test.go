package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	gocmp "github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// explained asks the server for a TokenExplanation wherever a recorded TokenReview got a verdict, and compares the two. It
// reports whether there was something to compare.
func explained(next http.RoundTripper, request *http.Request, sent []byte, review *reply) (bool, error) {
	var asked, answered authenticationv1.TokenReview
	if review.status != http.StatusCreated || !strings.HasSuffix(request.URL.Path, "/authentication.k8s.io/v1/tokenreviews") ||
		json.Unmarshal(sent, &asked) != nil || json.Unmarshal(review.body, &answered) != nil {
		return false, nil //nolint:nilerr // there is nothing to compare
	}
	body, err := json.Marshal(v1alpha1.TokenExplanation{Spec: asked.Spec})
	if err != nil {
		return false, err
	}
	body = bytes.Replace(body, []byte("{"), []byte(`{"apiVersion":"mintmark.io/v1alpha1","kind":"TokenExplanation",`), 1)
	to := url.URL{Scheme: request.URL.Scheme, Host: request.URL.Host, Path: "/apis/mintmark.io/v1alpha1/tokenexplanations"}
	question, err := http.NewRequestWithContext(request.Context(), http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	question.Header.Set("Authorization", "Bearer "+adminToken)
	question.Header.Set("Content-Type", "application/json")
	response, err := next.RoundTrip(question)
	if err != nil {
		return false, err
	}
	text, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return false, err
	}
	if response.StatusCode != http.StatusCreated {
		return false, fmt.Errorf("status %d for a TokenExplanation: %s", response.StatusCode, newMask().text(string(text)))
	}
	if token := asked.Spec.Token; len(token) > 20 && strings.Contains(string(text), token) {
		return false, errors.New("a TokenExplanation repeats the token")
	}
	var explanation v1alpha1.TokenExplanation
	if err := json.Unmarshal(text, &explanation); err != nil {
		return false, err
	}
	return true, sameVerdict(answered.Status, explanation.Status)
}

// sameVerdict returns how an explanation differs from a review.
func sameVerdict(review authenticationv1.TokenReviewStatus, explanation v1alpha1.TokenExplanationStatus) error {
	same := authenticationv1.TokenReviewStatus{
		Authenticated: explanation.Verdict == v1alpha1.VerdictAuthenticated, Audiences: explanation.Audiences,
		Error: freshClock.ReplaceAllString(explanation.Error, "TIME"),
	}
	if explanation.User != nil {
		same.User = *explanation.User
	}
	review.Error = freshClock.ReplaceAllString(review.Error, "TIME")
	if diff := gocmp.Diff(review, same); diff != "" {
		return errors.New("the explanation differs from the review (-review +explanation): " + newMask().text(diff))
	}
	if (explanation.Reason == "Accepted") != review.Authenticated || explanation.Reason == "AuthenticatorFailed" {
		return fmt.Errorf("the reason %q for the verdict authenticated: %t", explanation.Reason, review.Authenticated)
	}
	return nil
}
