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
	// shared is the transport of HTTP/2; nil means connections of HTTP/1.1.
	shared *http.Transport
}

// newShared returns a transport of HTTP/2.
func newShared(config *tls.Config) *http.Transport {
	versions := &http.Protocols{}
	versions.SetHTTP2(true)
	return &http.Transport{TLSClientConfig: config, Protocols: versions, DisableCompression: true}
}

func (d *dialer) open(ctx context.Context) (connection, error) {
	if d.shared != nil {
		return &stream{d}, nil
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
type stream struct{ *dialer }

func (*stream) close() {}

func (s *stream) send(ctx context.Context) (status int, retry bool, err error) {
	request := (&http.Request{Method: http.MethodPost, URL: s.target, Host: s.target.Host, Header: s.header}).WithContext(ctx)
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(s.body)), nil }
	request.Body, _ = request.GetBody()
	request.ContentLength = int64(len(s.body))
	return read(s.shared.RoundTrip(request)) //nolint:bodyclose // read does
}
