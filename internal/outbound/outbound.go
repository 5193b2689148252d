// Package outbound provides the HTTP clients with which the server calls others: token webhooks, authorization webhooks,
// OpenID Connect issuers, and the servers that stored objects name (ObjectCalls).
//
// All of these clients share one guarded transport. It follows no redirect, bounds the time and the length of an answer,
// and takes the token that a call is about out of the text of a failure. A test in the module's root keeps every other
// HTTP client out of the process.
//
// Proxies are those of kube-apiserver: the kubeconfig's proxy-url for a webhook, otherwise HTTPS_PROXY, HTTP_PROXY and
// NO_PROXY. A proxy for https URLs only sees an encrypted connection. Calls that a stored object causes use no proxy.
package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/klog/v2"
)

const (
	// Timeout bounds what the server asks of others, retries included. A reviewer waits ten seconds for a review, so the
	// review must be over by then, with a reason.
	Timeout = 9 * time.Second
	// maxAnswer is the longest answer that is read.
	maxAnswer = 1 << 20
	// maxFailure is how much is kept of the text of a failure. Libraries log and quote that text whole.
	maxFailure = 4 << 10
	// maxHeader bounds the headers of an answer.
	maxHeader = 64 << 10
)

var (
	// ErrTooLong says that an answer is longer than the server reads.
	ErrTooLong = fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	errSlow    = errors.New("no answer in time")
)

// secretKey marks the context of a call with the token that the call is about.
type secretKey struct{}

// Call returns the context of a call, retries included, about a token. The context has a deadline. It has none of the
// caller's loggers, since client-go logs bodies, and the token is in them.
func Call(ctx context.Context, token string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(klog.NewContext(ctx, klog.Logger{}), Timeout, errSlow)
	return context.WithValue(ctx, secretKey{}, token), cancel
}

// guarded is the transport of all calls to others. A redirect would take the credentials and the token to a host that the
// operator did not name (CVE-2020-8561).
type guarded struct{ base http.RoundTripper }

// RoundTrip makes a call.
func (g guarded) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(request.Context(), Timeout, errSlow)
	response, err := g.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = &body{ReadCloser: response.Body, left: maxAnswer, cancel: cancel}
	if response.ContentLength > maxAnswer {
		_ = response.Body.Close()
		return nil, ErrTooLong
	}
	if response.StatusCode < http.StatusMultipleChoices {
		return response, nil
	}
	// A client follows a redirect only if it has a Location.
	response.Header.Del("Location")
	secret, _ := request.Context().Value(secretKey{}).(string)
	if err := shortenFailure(response, secret); err != nil {
		return nil, err
	}
	return response, nil
}

// shortenFailure reads the text of a failure, takes the secret out and cuts the text.
func shortenFailure(response *http.Response, secret string) error {
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return err
	}
	text = []byte(WithoutSecret(string(text), secret))
	text = text[:min(len(text), maxFailure)]
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	response.Header.Del("Content-Length")
	return nil
}

// body is a body of bounded length. Closing it ends the call.
type body struct {
	io.ReadCloser
	left   int
	cancel context.CancelFunc
}

// Read reads on.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, ErrTooLong
	}
	return n, err
}

// Close ends the call.
func (b *body) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
