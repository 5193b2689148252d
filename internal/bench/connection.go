package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
)

// connection sends one request after the other. It takes less CPU than the library's client would: the load generator shares the
// processors with the server.
type connection interface {
	// send returns the status of the answer, and whether it says when to try again.
	send(ctx context.Context) (status int, retry bool, err error)
	close()
}

// wire is a connection of HTTP/1.1 over which the same request is sent again and again.
type wire struct {
	conn    *tls.Conn
	reader  *bufio.Reader
	request []byte
}

// dialer opens connections that send one request.
type dialer struct {
	target *url.URL
	config *tls.Config
	header http.Header
	body   []byte
	// status is that of an answer to a request that is not shed.
	status int
	// http2 says that connections are streams, streamsOfEach of which share a connection of HTTP/2.
	http2 bool

	mu      sync.Mutex
	streams int
	shared  *http.Transport // of the next stream
}

// streamsOfEach is how many requests at once a connection of HTTP/2 has, as many as the server takes.
const streamsOfEach = 100

// openStream opens a stream, and its connection if the one before has no room.
func (d *dialer) openStream(ctx context.Context) (connection, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.streams%streamsOfEach == 0 {
		versions := &http.Protocols{}
		versions.SetHTTP2(true)
		d.shared = &http.Transport{TLSClientConfig: d.config, Protocols: versions, DisableCompression: true}
		// It has a token, good or bad: the server ends connections of anonymous callers.
		first := (&http.Request{Method: http.MethodGet, URL: d.target.ResolveReference(&url.URL{Path: "/livez"}), Header: d.header}).WithContext(ctx)
		if _, _, err := read(d.shared.RoundTrip(first)); err != nil { //nolint:bodyclose // read does
			return nil, err
		}
	}
	d.streams++
	return &stream{d, d.shared}, nil
}

func (d *dialer) open(ctx context.Context) (connection, error) {
	if d.http2 {
		return d.openStream(ctx)
	}
	conn, err := (&tls.Dialer{Config: d.config}).DialContext(ctx, "tcp", d.target.Host)
	if err != nil {
		return nil, err
	}
	var request bytes.Buffer
	fmt.Fprintf(&request, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", d.target.RequestURI(), d.target.Host, len(d.body))
	if err := d.header.Write(&request); err != nil {
		return nil, err
	}
	request.WriteString("\r\n")
	request.Write(d.body)
	return &wire{conn.(*tls.Conn), bufio.NewReader(conn), request.Bytes()}, nil
}

func (w *wire) close() { _ = w.conn.Close() }

func (w *wire) send(context.Context) (status int, retry bool, err error) {
	if _, err := w.conn.Write(w.request); err != nil {
		return 0, false, err
	}
	return read(http.ReadResponse(w.reader, nil)) //nolint:bodyclose // read does
}

// read reads an answer to its end.
func read(answer *http.Response, err error) (status int, retry bool, _ error) {
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = answer.Body.Close() }() // has been read
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Header.Get("Retry-After") != "", err
}

// stream sends requests over a connection of HTTP/2 that others share.
type stream struct {
	*dialer
	transport *http.Transport
}

func (s *stream) close() { s.transport.CloseIdleConnections() }

func (s *stream) send(ctx context.Context) (status int, retry bool, err error) {
	request := (&http.Request{Method: http.MethodPost, URL: s.target, Host: s.target.Host, Header: s.header}).WithContext(ctx)
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(s.body)), nil }
	request.Body, _ = request.GetBody()
	request.ContentLength = int64(len(s.body))
	return read(s.transport.RoundTrip(request)) //nolint:bodyclose // read does
}
