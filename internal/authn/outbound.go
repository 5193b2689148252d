package authn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	certutil "k8s.io/client-go/util/cert"
)

const (
	// outboundTimeout bounds what the server asks of others, retries included. Whoever waits for a review waits ten
	// seconds at most: a review has to be over by then, with a reason.
	outboundTimeout = 9 * time.Second
	// maxAnswer is the longest answer that is read.
	maxAnswer = 1 << 20
)

// tokenKey marks the context of a call with the token that it is about.
type tokenKey struct{}

// guardedTransport is the transport of all calls to others. It follows no redirect, since the credentials and the token are meant
// for whom the operator named and for nobody whom that one names (CVE-2020-8561). It reads so much of an answer and no
// more, and a failure's text comes back without the token.
type guardedTransport struct{ base http.RoundTripper }

// RoundTrip makes a call.
func (g guardedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := g.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices && response.StatusCode < http.StatusBadRequest {
		// Without a place to go to, a redirect is just an answer that is of no use.
		response.Header.Del("Location")
	}
	if response.ContentLength > maxAnswer {
		_ = response.Body.Close()
		return nil, errTooLong
	}
	response.Body = &capped{ReadCloser: response.Body, left: maxAnswer}
	token, _ := request.Context().Value(tokenKey{}).(string)
	if len(token) < minSecret || response.StatusCode < http.StatusMultipleChoices {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	text = bytes.ReplaceAll(text, []byte(token), []byte(redacted))
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	response.Header.Del("Content-Length")
	return response, nil
}

var errTooLong = fmt.Errorf("an answer of more than %d bytes", maxAnswer)

// capped is a body that must not be longer than what is left.
type capped struct {
	io.ReadCloser
	left int
}

// Read reads on.
func (c *capped) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.left -= n; c.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

// issuerClient returns the client for the documents of an issuer, which is known by its authority, or by those of the
// host if there is none.
func issuerClient(authority string) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if authority != "" {
		roots, err := certutil.NewPoolFromBytes([]byte(authority))
		if err != nil {
			return nil, fmt.Errorf("failed to read the CA contents: %w", err)
		}
		conf.RootCAs = roots
	}
	transport := utilnet.SetTransportDefaults(&http.Transport{TLSClientConfig: conf, MaxResponseHeaderBytes: 64 << 10})
	return &http.Client{Transport: newRateLimited(guardedTransport{transport}), Timeout: outboundTimeout}, nil
}

// call gives a context to a call to others: when it has to be over, and what it is about. Loggers of the caller are not
// in it, since client-go logs bodies and the token is in them.
func call(ctx context.Context, token string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(silent(ctx), outboundTimeout, errors.New("no answer in time"))
	return context.WithValue(ctx, tokenKey{}, token), cancel
}
