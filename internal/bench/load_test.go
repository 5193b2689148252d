package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const secret = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiIxIn0.c2lnbmF0dXJl"

// serveTLS runs a handler over TLS, and returns a client for it.
func serveTLS(t *testing.T, handler http.Handler, version protocol, workers int) *client {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c, err := newClient(server.URL, http.Header{"Authorization": {"Bearer " + secret}}, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, version, workers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// TestLoad counts what arrives: every body once, over as many connections as there should be.
func TestLoad(t *testing.T) {
	for version, connections := range map[protocol]int{http1: 3, http2: 2} {
		t.Run(string(version), func(t *testing.T) {
			var mu sync.Mutex
			from, bodies := map[string]bool{}, map[string]int{}
			c := serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				from[r.RemoteAddr] = true
				if r.ContentLength == int64(len(body)) && r.Header.Get("Authorization") == "Bearer "+secret {
					bodies[string(body)]++
				}
				w.WriteHeader(http.StatusCreated)
				_, _ = w.Write(body)
			}), version, 3)
			if _, err := c.connect(t.Context(), []byte("first")); err != nil {
				t.Fatal(err)
			}
			seen, err := c.run(t.Context(), [][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d"), []byte("e")}, true, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]int{"first": connections, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1}, bodies); diff != "" {
				t.Errorf("bodies: -want +got:\n%s", diff)
			}
			if len(from) != connections {
				t.Errorf("%d connections, want %d", len(from), connections)
			}
			if len(seen.latencies) != 5 || len(seen.last) == 0 || len(seen.last) > 3 {
				t.Errorf("%d latencies and %d last answers of 5 requests of 3 workers", len(seen.latencies), len(seen.last))
			}
			for _, last := range seen.last {
				if len(last.Body) != 1 || last.Status != http.StatusCreated {
					t.Errorf("a last answer of %d with %q", last.Status, last.Body)
				}
			}
		})
	}
}

// TestLoadAgain sends one body until the time is over.
func TestLoadAgain(t *testing.T) {
	c := serveTLS(t, &fixed{answer{Status: http.StatusOK}}, http1, 2)
	const length = 300 * time.Millisecond
	seen, err := c.run(t.Context(), [][]byte{[]byte("a")}, false, length)
	if err != nil {
		t.Fatal(err)
	}
	if seen.elapsed < length || len(seen.latencies) < 3 || seen.rate() <= 0 {
		t.Errorf("%d requests in %s", len(seen.latencies), seen.elapsed)
	}
}

// TestLoadFails has answers that are no success, and that repeat the token.
func TestLoadFails(t *testing.T) {
	for name, test := range map[string]struct {
		answer  answer
		version protocol
		err     string
	}{
		"forbidden":  {answer{Status: http.StatusForbidden, Body: []byte(secret)}, http1, "403 Forbidden"},
		"overloaded": {answer{Status: http.StatusTooManyRequests, Body: []byte(secret)}, http2, "429 Too Many Requests"},
		"redirected": {answer{Status: http.StatusFound, Header: http.Header{"Location": {"/" + secret}}}, http1, "302 Found"},
	} {
		t.Run(name, func(t *testing.T) {
			c := serveTLS(t, &fixed{test.answer}, test.version, 2)
			_, err := c.connect(t.Context(), []byte(secret))
			checkError(t, err, test.err)
			_, err = c.run(t.Context(), [][]byte{[]byte(secret)}, false, time.Hour)
			checkError(t, err, test.err)
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Error("the error repeats the token")
			}
		})
	}
}

// fixed is a server that always answers the same.
type fixed struct{ answer }

func (f *fixed) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for key, values := range f.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write(f.Body)
}

// TestFloor: the floor sends the answer that it was given.
func TestFloor(t *testing.T) {
	f := &floor{}
	want := answer{Status: http.StatusCreated, Header: http.Header{"X": {"1"}, "Content-Type": {"application/json"}}, Body: []byte(`{"a":1}`)}
	f.answer.Store(&want)
	got, err := serveTLS(t, f, http2, 1).connect(t.Context(), []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	got.Header.Del("Date")
	got.Header.Del("Content-Length")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
