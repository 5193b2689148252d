package livecheck

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	kjson "sigs.k8s.io/json"

	"github.com/mintmark/mintmark/internal/outbound"
)

// answer is what a cluster said about a token.
type answer struct {
	// asked is when. The cluster may have known no more than at that instant.
	asked         time.Time
	authenticated bool
	username, uid string
	audiences     authenticator.Audiences
	// why is the cluster's reason for a refusal.
	why string
}

// age is how old an answer is.
func (a *answer) age(now time.Time) time.Duration { return now.Sub(a.asked) }

// size is about how many bytes an answer takes.
func (a *answer) size() int {
	const overhead, text = 128, 24
	size := overhead + len(a.username) + len(a.uid) + len(a.why)
	for _, audience := range a.audiences {
		size += text + len(audience)
	}
	return size
}

// questionKind is a TokenReview's type.
var questionKind = metav1.TypeMeta{Kind: "TokenReview", APIVersion: authenticationv1.SchemeGroupVersion.String()}

// ask asks a cluster about a token.
func (c *connection) ask(ctx context.Context, client caller, token string, audiences authenticator.Audiences) (*answer, error) {
	ctx, cancel := outbound.Call(ctx, token)
	defer cancel()
	question, err := json.Marshal(&authenticationv1.TokenReview{TypeMeta: questionKind, Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(question))
	if err != nil {
		return nil, errors.New("the URL of the cluster can't be used")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	// A review can be asked for twice: the transport may send it again if the cluster closes the connection. An empty list is not sent.
	request.Header["Idempotency-Key"] = nil
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	asked := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if err := checkStatus(response.StatusCode); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	said, err := readAnswer(body, token, c.token)
	if err != nil {
		return nil, err
	}
	said.asked = asked
	return said, nil
}

// statusError is a status of HTTP with which no review is answered.
type statusError int

// Error says what the status means.
func (s statusError) Error() string {
	status := fmt.Sprintf("%d %s", int(s), http.StatusText(int(s)))
	switch {
	case s == http.StatusUnauthorized:
		return "the cluster does not know the credential of the kubeconfig (" + status + ")"
	case s == http.StatusForbidden:
		return "the user of the kubeconfig may not create TokenReviews in the cluster (" + status + "): bind it to the cluster role system:auth-delegator"
	case s/100 == 3:
		return "the cluster answers with a redirect (" + status + "), which is not followed: name the address itself"
	}
	return "the cluster answers with " + status
}

// checkStatus returns an error unless the status is one of an answer.
func checkStatus(code int) error {
	if code == http.StatusOK || code == http.StatusCreated {
		return nil
	}
	return statusError(code)
}

// readAnswer reads a cluster's answer. The token that was asked about, and our credential for the cluster, are taken out of its reason:
// reviewers are told it.
func readAnswer(body []byte, token, credential string) (*answer, error) {
	var review authenticationv1.TokenReview
	twice, err := kjson.UnmarshalStrict(body, &review, kjson.DisallowDuplicateFields)
	if err != nil || len(twice) > 0 {
		return nil, errors.New("the cluster's answer is no TokenReview")
	}
	if review.TypeMeta != questionKind {
		return nil, errors.New("the cluster's answer is of another kind or version than the TokenReview of " + questionKind.APIVersion + " that it was asked for")
	}
	said := &answer{authenticated: review.Status.Authenticated}
	if !said.authenticated {
		said.why = outbound.Shorten(outbound.WithoutSecret(outbound.WithoutSecret(review.Status.Error, token), credential))
		return said, nil
	}
	said.username, said.uid, said.audiences = review.Status.User.Username, review.Status.User.UID, review.Status.Audiences
	return said, nil
}
