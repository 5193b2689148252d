package tokenreview

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

const (
	listsPath = "/apis/mintmark.io/v1alpha1/tokenreviewlists"
	// gatherFor is how long a review waits for others.
	gatherFor = time.Millisecond
	// mostGathered is how many reviews share a request.
	mostGathered = 100
	// singlyFor is for how long reviews are sent one by one to a server that doesn't take several.
	singlyFor = 5 * time.Minute
)

// gatherer has reviews share requests.
type gatherer struct {
	client *Client
	// singly is the instant until which reviews are sent one by one.
	singly atomic.Int64

	mu      sync.Mutex
	waiting []*gathered
}

// gathered is a review that waits for others.
type gathered struct {
	spec   authenticationv1.TokenReviewSpec
	done   chan struct{}
	status *authenticationv1.TokenReviewStatus
	err    error
}

// errSingly says that the server does not take several reviews in a request.
var errSingly = errors.New("the server reviews tokens one by one")

func (g *gatherer) possible() bool { return g.client.now() >= g.singly.Load() }

// review reviews a token together with others.
func (g *gatherer) review(ctx context.Context, spec authenticationv1.TokenReviewSpec) (*authenticationv1.TokenReviewStatus, error) {
	one := &gathered{spec: spec, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, one)
	switch len(g.waiting) {
	case 1:
		time.AfterFunc(gatherFor, g.send)
	case mostGathered:
		go g.send()
	}
	g.mu.Unlock()
	select {
	case <-one.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: it took too long", ErrUnavailable)
	}
	if errors.Is(one.err, errSingly) {
		return g.client.reviewOne(ctx, spec)
	}
	return one.status, one.err
}

// send sends the reviews that wait.
func (g *gatherer) send() {
	g.mu.Lock()
	all := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	if len(all) == 0 {
		return
	}
	defer func() {
		value := recover()
		for _, one := range all {
			if value != nil {
				one.status, one.err = nil, fmt.Errorf("%w: a panic of type %T", ErrUnavailable, value)
			}
			close(one.done)
		}
	}()
	ctx, cancel := context.WithTimeout(g.client.context, g.client.cfg.Timeout)
	defer cancel()
	results, err := g.ask(ctx, all)
	for i, one := range all {
		switch {
		case err != nil:
			one.err = err
		case results[i].Status != nil:
			one.status = results[i].Status
		case results[i].Failure != nil:
			one.err = fmt.Errorf("%w: the server has no verdict (%d)", ErrUnavailable, results[i].Failure.Code)
		default:
			one.err = fmt.Errorf("%w: the server left a review out", ErrUnavailable)
		}
	}
}

// ask returns as many results as there are reviews.
func (g *gatherer) ask(ctx context.Context, all []*gathered) ([]v1alpha1.TokenReviewResult, error) {
	var question v1alpha1.TokenReviewList
	question.APIVersion, question.Kind = v1alpha1.SchemeGroupVersion.String(), "TokenReviewList"
	for _, one := range all {
		question.Spec.Reviews = append(question.Spec.Reviews, one.spec)
	}
	var answer v1alpha1.TokenReviewList
	err := g.client.post(ctx, listsPath, &question, &answer)
	var refused *statusError
	if errors.As(err, &refused) {
		switch refused.code {
		case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
			g.singly.Store(g.client.now() + int64(singlyFor))
			return nil, errSingly
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			return nil, errSingly // one of the reviews is at fault, such as one of a huge token
		}
	}
	if err == nil && len(answer.Status.Results) != len(all) {
		err = fmt.Errorf("%w: the server answered %d of %d reviews", ErrUnavailable, len(answer.Status.Results), len(all))
	}
	return answer.Status.Results, err
}
