package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// protocol is a version of HTTP, as it stands in the table.
type protocol string

const (
	http1 protocol = "1.1"
	http2 protocol = "2"
)

// protocols are measured in this order.
var protocols = []protocol{http1, http2}

// client sends the requests of one scenario to one server, over connections that it keeps.
type client struct {
	// request holds the parts that all requests have in common.
	request *http.Request
	major   int
	// status is the code of the answers. 0 means those of success.
	status     int
	transports []*http.Transport // with one connection each
	workers    int
}

// newClient returns a client of so many workers, each of which waits for an answer before it sends its next request.
// With HTTP/1.1 each has a connection of its own; with HTTP/2 they share two.
func newClient(address string, header http.Header, config *tls.Config, version protocol, workers int) (*client, error) {
	target, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	c := &client{
		request: &http.Request{Method: http.MethodPost, URL: target, Host: target.Host, Header: header},
		major:   1,
		workers: workers,
	}
	connections, versions := workers, &http.Protocols{}
	if version == http2 {
		c.major = 2
		connections = min(workers, http2Connections)
	}
	versions.SetHTTP1(version == http1)
	versions.SetHTTP2(version == http2)
	for range connections {
		c.transports = append(c.transports, &http.Transport{
			TLSClientConfig:    config.Clone(),
			Protocols:          versions,
			DisableCompression: true,
		})
	}
	return c, nil
}

// http2Connections is how many connections all streams of HTTP/2 share.
const http2Connections = 2

// close gives up the connections.
func (c *client) close() {
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// connect opens the connections, one after the other: of workers that come at once, each would open one for HTTP/2.
func (c *client) connect(ctx context.Context, body []byte) (last answer, err error) {
	for _, t := range c.transports {
		w := worker{client: c, transport: t}
		if err := w.send(ctx, body); err != nil {
			return answer{}, err
		}
		last = w.last()
	}
	return last, nil
}

// window holds the figures of one measurement on the client's side.
type window struct {
	elapsed   time.Duration
	latencies []time.Duration // sorted, one for each request
	last      []answer        // that each worker got last
}

// rate is how many requests a second were answered.
func (w *window) rate() float64 { return float64(len(w.latencies)) / w.elapsed.Seconds() }

// run sends the bodies, if once is set each of them once and otherwise all over again, until the time is over or no
// body is left. Any answer but a success ends it.
func (c *client) run(ctx context.Context, bodies [][]byte, once bool, length time.Duration) (*window, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	workers := make([]worker, c.workers)
	start := time.Now()
	var running sync.WaitGroup
	for i := range workers {
		w := &workers[i]
		*w = worker{client: c, transport: c.transports[i%len(c.transports)]}
		running.Go(func() {
			for now := start; now.Sub(start) < length; {
				n := int(next.Add(1) - 1)
				if once && n >= len(bodies) {
					return
				}
				err := w.send(ctx, bodies[n%len(bodies)])
				if err != nil {
					cancel(err)
					return
				}
				end := time.Now()
				w.latencies = append(w.latencies, end.Sub(now))
				now = end
			}
		})
	}
	running.Wait()
	result := &window{elapsed: time.Since(start)}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for i := range workers {
		result.latencies = append(result.latencies, workers[i].latencies...)
		if len(workers[i].latencies) > 0 {
			result.last = append(result.last, workers[i].last())
		}
	}
	if len(result.latencies) == 0 {
		return nil, errors.New("not one request was sent")
	}
	slices.Sort(result.latencies)
	return result, nil
}

// worker sends one request after the other.
type worker struct {
	client    *client
	transport *http.Transport
	latencies []time.Duration
	// Of the last answer:
	status int
	header http.Header
	body   bytes.Buffer
}

// send sends a body and reads the answer.
func (w *worker) send(ctx context.Context, body []byte) error {
	request := w.client.request.WithContext(ctx)
	// A server may end the connection of a caller whom it doesn't know, and the library then sends the body again.
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	request.Body, _ = request.GetBody()
	request.ContentLength = int64(len(body))
	// Not http.Client, which does more about a request than is needed here.
	response, err := w.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // has been read
	w.status, w.header = response.StatusCode, response.Header
	w.body.Reset()
	if _, err = w.body.ReadFrom(response.Body); err != nil {
		return err
	}
	asExpected := w.status == w.client.status
	if w.client.status == 0 {
		asExpected = w.status == http.StatusCreated || w.status == http.StatusOK
	}
	switch {
	case !asExpected:
		return statusError(w.status)
	case response.ProtoMajor != w.client.major:
		return fmt.Errorf("the server answers with %s", response.Proto)
	}
	return nil
}

// last returns the last answer.
func (w *worker) last() answer {
	return answer{Status: w.status, Header: w.header, Body: bytes.Clone(w.body.Bytes())}
}

// statusError is an answer that is no success. Its body may repeat a token, and is left out.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("the server answers %d %s", int(e), http.StatusText(int(e)))
}
