package livecheck

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/cache"
	"github.com/mintmark/mintmark/internal/crash"
)

const (
	// callTimeout bounds a call, the wait for a place included. A reviewer gives up after ten seconds; told early that there is no
	// verdict, it can ask again.
	callTimeout = 3 * time.Second
	// maxBusy is the most reviews and calls that wait for clusters: half of the requests that a server answers at a time by default. One
	// cluster may have half of what the others leave, so that a cluster that hangs leaves room for the next one.
	maxBusy = 100
	// failureAge is for how long a call that failed is the answer to its question. The generic chain asks again about what the fast
	// path had no answer to, and reviewers are told to wait a second.
	failureAge = 100 * time.Millisecond
)

var (
	// errCrowded says that too many reviews wait already.
	errCrowded = errors.New("too many reviews wait for the answers of clusters")
	errSlow    = fmt.Errorf("the cluster gave no answer within %s", callTimeout)
)

// question is what a cluster is asked.
type question struct {
	key       cache.Key
	token     string
	audiences authenticator.Audiences
}

// flight is a call for all that ask the same.
type flight struct {
	begun time.Time
	probe bool // the one call to a cluster that failed before
	done  chan struct{}
	said  *answer
	err   error

	failed time.Time // when the call ended without an answer; zero if it did not. The target's lock is held
}

// counts reports whether a question that is asked now may have the answer of a call.
func (f *flight) counts(now time.Time, bound time.Duration) bool {
	if f == nil {
		return false
	}
	if !f.failed.IsZero() {
		return now.Sub(f.failed) < failureAge
	}
	return now.Sub(f.begun) <= bound
}

// share returns the answer to a question, with a call or from one that is young enough: under way, or failed a moment ago.
func (c *Checker) share(ctx context.Context, to *target, q *question, bound time.Duration) (*answer, error) {
	f, err := c.join(to, q, bound)
	if err != nil {
		return nil, err
	}
	defer c.leave(to)
	select {
	case <-f.done:
		return f.said, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join takes a place among those that wait, and returns the call to wait for.
func (c *Checker) join(to *target, q *question, bound time.Duration) (*flight, error) {
	now := time.Now()
	to.mu.Lock()
	defer to.mu.Unlock()
	f := to.flights[q.key]
	begin := !f.counts(now, bound)
	if begin && to.health.held(now) {
		return nil, to.health.last
	}
	// One may always wait: many clusters that hang must not keep a healthy one from being asked.
	if to.busy > 0 && to.busy >= (maxBusy-c.targets.busy.Load())/2 {
		return nil, errCrowded
	}
	c.enter(to)
	if begin {
		f = &flight{begun: now, probe: to.health.probe(), done: make(chan struct{})}
		to.flights[q.key] = f
		c.enter(to) // the call goes on when the review that began it has gone
		go c.fly(to, q, f)
	}
	return f, nil
}

// enter and leave count what waits for a target. The caller of enter holds the target's lock.
func (c *Checker) enter(to *target) {
	to.busy++
	c.targets.busy.Add(1)
}

func (c *Checker) leave(to *target) {
	to.mu.Lock()
	to.busy--
	to.mu.Unlock()
	c.targets.busy.Add(-1)
}

// fly makes a call and tells all that wait for it. The place of the call is free before they are told, for the next question of one
// of them.
func (c *Checker) fly(to *target, q *question, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	f.err = crash.Guard(func() (err error) {
		f.said, err = c.call(ctx, to, q)
		return err
	})
	if f.err != nil && ctx.Err() != nil && !errors.Is(f.err, errCrowded) {
		f.err = errSlow
	}
	if f.err == nil {
		c.answers.Add(q.key, f.said, f.said.size())
	}
	to.mu.Lock()
	to.health.note(time.Now(), f)
	if f.err == nil || errors.Is(f.err, errCrowded) { // without a place, no call was made
		to.forget(q, f)
	} else {
		f.failed = time.Now()
		time.AfterFunc(failureAge, func() {
			to.mu.Lock()
			defer to.mu.Unlock()
			to.forget(q, f)
		})
	}
	to.mu.Unlock()
	c.leave(to)
	close(f.done)
}

// forget has the next question ask the cluster anew. The lock is held.
func (t *target) forget(q *question, f *flight) {
	if t.flights[q.key] == f {
		delete(t.flights, q.key)
	}
}

// call asks the cluster when there is a place.
func (c *Checker) call(ctx context.Context, to *target, q *question) (*answer, error) {
	select {
	case to.places <- struct{}{}:
		defer func() { <-to.places }()
	case <-ctx.Done():
		return nil, errCrowded
	}
	with, err := c.open(ctx, to)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	said, err := with.ask(ctx, with.client, q.token, q.audiences)
	c.metrics.called(time.Since(begun), err)
	return said, err
}

// caller is an HTTP client.
type caller interface {
	Do(request *http.Request) (*http.Response, error)
	CloseIdleConnections()
}

// opened is a connection with its client.
type opened struct {
	*connection
	client caller
}

// open reads the secret, unless it was read before and has not changed since.
func (c *Checker) open(ctx context.Context, to *target) (*opened, error) {
	to.opening.Lock()
	defer to.opening.Unlock()
	if to.opened != nil {
		return to.opened, nil
	}
	at := to.secret.Namespace + "/" + to.secret.Name
	obj, err := c.Secrets.Object(ctx, to.secret.Namespace, to.secret.Name)
	if apierrors.IsNotFound(err) {
		return nil, &setupError{fmt.Sprintf("the secret %s does not exist: make it, with the kubeconfig for the cluster in the key %s", at, kubeconfigKey)}
	}
	if err != nil {
		return nil, err
	}
	secret := obj.(*corev1.Secret)
	text, ok := secret.Data[kubeconfigKey]
	switch {
	case secret.DeletionTimestamp != nil:
		return nil, &setupError{fmt.Sprintf("the secret %s is being deleted: make it anew, or name another one", at)}
	case !ok:
		return nil, &setupError{fmt.Sprintf("the secret %s has no key %s: put the kubeconfig for the cluster there", at, kubeconfigKey)}
	}
	connection, err := readKubeconfig(text)
	if err != nil {
		return nil, &setupError{fmt.Sprintf("the kubeconfig in the secret %s can't be used: %v", at, err)}
	}
	client, err := c.newClient(connection.ObjectClient)
	if err != nil {
		return nil, &setupError{fmt.Sprintf("the kubeconfig in the secret %s can't be used: certificate-authority-data has no certificate in PEM", at)}
	}
	to.opened = &opened{connection, client}
	return to.opened, nil
}
