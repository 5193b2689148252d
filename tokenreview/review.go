package tokenreview

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	reviewsPath = "/apis/authentication.k8s.io/v1/tokenreviews"
	// maxAnswer bounds an answer to a review.
	maxAnswer = 4 << 20
	// firstPause and longestPause are those between attempts.
	firstPause, longestPause = 50 * time.Millisecond, 2 * time.Second
)

// review has the server review a token.
func (c *Client) review(ctx context.Context, token string, audiences []string) (*authenticationv1.TokenReviewStatus, error) {
	spec := authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}
	if c.gather != nil && c.gather.possible() {
		return c.gather.review(ctx, spec)
	}
	return c.reviewOne(ctx, spec)
}

func (c *Client) reviewOne(ctx context.Context, spec authenticationv1.TokenReviewSpec) (*authenticationv1.TokenReviewStatus, error) {
	question := authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenReview"}, Spec: spec,
	}
	var answer authenticationv1.TokenReview
	if err := c.post(ctx, reviewsPath, &question, &answer); err != nil {
		return nil, err
	}
	if answer.Kind != question.Kind || answer.APIVersion != question.APIVersion {
		return nil, fmt.Errorf("%w: the server answered with something that is no TokenReview", ErrUnavailable)
	}
	return &answer.Status, nil
}

// post sends a question until there is an answer, the server refuses, or the time is over. The errors are ErrUnavailable and say
// nothing of the question.
func (c *Client) post(ctx context.Context, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("%w: the question can't be encoded", ErrUnavailable)
	}
	again := false // after 401: the credentials may have been renewed
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		failure := c.attempt(ctx, path, body, answer)
		var refused *statusError
		switch {
		case failure == nil:
			return nil
		case errors.As(failure, &refused) && !refused.passing() && (refused.code != http.StatusUnauthorized || again):
			return fmt.Errorf("%w: %w", ErrUnavailable, failure)
		}
		wait := pause/2 + rand.N(pause) //nolint:gosec // nobody gains from guessing it
		if refused != nil {
			again = again || refused.code == http.StatusUnauthorized
			wait = max(wait, refused.after)
		}
		if end, ok := ctx.Deadline(); ok && time.Until(end) < wait {
			return fmt.Errorf("%w: %w", ErrUnavailable, failure)
		}
		c.stats.retries.Add(1)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", ErrUnavailable, failure)
		}
	}
}

// attempt sends a question once.
func (c *Client) attempt(ctx context.Context, path string, body []byte, answer any) error {
	if err := c.rate.Wait(ctx); err != nil {
		return &statusError{text: "more reviews are waiting than MaxRate allows", code: http.StatusTooManyRequests, local: true}
	}
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	case <-ctx.Done():
		return &statusError{text: "more reviews are waiting than MaxInFlight allows", code: http.StatusTooManyRequests, local: true}
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout/2)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.path(path), bytes.NewReader(body))
	if err != nil {
		return errors.New("the address of the server is none")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	c.stats.requests.Add(1)
	response, err := c.server.http.Do(request)
	if err != nil {
		c.server.http.CloseIdleConnections() // they may have died as well
		return fmt.Errorf("the server can't be reached: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer ended early: %w", err)
	}
	if response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusOK {
		return newStatusError(response)
	}
	if json.Unmarshal(data, answer) != nil { // its error quotes the answer
		return &statusError{text: "the answer is no JSON of the kind that was asked for", code: http.StatusBadGateway, local: true}
	}
	return nil
}

// statusError is an answer that is no success. Its text is never the server's, which might repeat the question.
type statusError struct {
	text  string
	code  int
	after time.Duration
	local bool // the server did not say so
}

func newStatusError(response *http.Response) *statusError {
	e := &statusError{code: response.StatusCode, text: fmt.Sprintf("the server answered %d %s", response.StatusCode, http.StatusText(response.StatusCode))}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.after = time.Duration(min(seconds, 3600)) * time.Second
	}
	switch e.code {
	case http.StatusUnauthorized:
		e.text += ": the credentials of this client are not good; see Config.Server"
	case http.StatusForbidden:
		e.text += ": bind the cluster role system:auth-delegator or mintmark:reviewer to this client"
	}
	return e
}

// Error says what the answer was.
func (e *statusError) Error() string { return e.text }

// passing reports whether another attempt may succeed.
func (e *statusError) passing() bool {
	switch e.code {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return !e.local
	}
	return false
}
