package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newDialer returns what opens connections to a handler.
func newDialer(t *testing.T, version protocol, handler http.HandlerFunc) *dialer {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" {
			handler(w, r)
		}
	}))
	server.EnableHTTP2 = version == http2
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	target, err := url.Parse(server.URL + "/path")
	if err != nil {
		t.Fatal(err)
	}
	return &dialer{
		target: target, config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, header: http.Header{"Authorization": {"Bearer x"}},
		body: []byte("body"), status: http.StatusCreated, http2: version == http2,
	}
}

// TestCrowd has a crowd send at a rate to a server that sheds each second request: the request arrives whole, and each answer is
// counted as what it is.
func TestCrowd(t *testing.T) {
	for _, version := range protocols {
		t.Run(string(version), func(t *testing.T) {
			var asked atomic.Int64
			d := newDialer(t, version, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body) // the next line tells
				if string(body) != "body" || r.Method != http.MethodPost || r.URL.Path != "/path" || r.Header.Get("Authorization") != "Bearer x" {
					t.Errorf("%s %s: %d bytes", r.Method, r.URL, len(body))
				}
				switch n := asked.Add(1); {
				case n%10 == 0:
					w.WriteHeader(http.StatusInternalServerError)
				case n%2 == 0:
					http.Error(w, "too many", http.StatusTooManyRequests)
				case n%3 == 0:
					w.Header().Set("Retry-After", "1")
					http.Error(w, "too many", http.StatusTooManyRequests)
				default:
					w.WriteHeader(http.StatusCreated)
					_, _ = io.WriteString(w, strings.Repeat("x", 3000)) // the client counts
				}
			})
			all, err := together(t.Context(), 500*time.Millisecond, time.Hour, &crowd{name: "some", dialers: []*dialer{d}, connections: 4, rate: 300})
			if err != nil {
				t.Fatal(err)
			}
			got := all[0]
			total := got.shed + got.failed + len(got.answered)
			if int64(total) != asked.Load() || total+got.unsent < 140 || total+got.unsent > 160 {
				t.Errorf("%d requests, %d arrived, %d not sent: want 150", total, asked.Load(), got.unsent)
			}
			if got.failed != total/10 || got.withoutRetry == 0 || got.shed <= got.withoutRetry || got.lastBad.IsZero() {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestCrowdOfSlowServer: what finds no free connection is not sent.
func TestCrowdOfSlowServer(t *testing.T) {
	d := newDialer(t, http1, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		w.WriteHeader(http.StatusCreated)
	})
	all, err := together(t.Context(), 300*time.Millisecond, time.Millisecond, &crowd{dialers: []*dialer{d}, connections: 1, rate: 200})
	if err != nil {
		t.Fatal(err)
	}
	got := all[0]
	if got.unsent < 30 || len(got.answered) == 0 || got.failed > 0 || got.lastBad.IsZero() {
		t.Errorf("%d not sent, %d answered, %d failed", got.unsent, len(got.answered), got.failed)
	}
}

func TestOverloadFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                "",
		"--http=2":        "",
		"--http=3":        "--http",
		"--times=0":       "--times",
		"--connections=0": "--connections",
		"--for=1ms":       "--for",
		"x":               "no arguments",
	} {
		_, err := parseOverloadFlags(strings.Fields(args), &bytes.Buffer{})
		checkError(t, err, want)
	}
}

// TestOverloadTable writes a phase with two crowds, and what was wrong with one of them.
func TestOverloadTable(t *testing.T) {
	times := []time.Duration{time.Millisecond, 2 * time.Millisecond}
	r := &rush{phases: []phase{{name: "load", resident: 100e6, outcomes: []*outcome{
		{name: "one", offered: 40, length: time.Second, shed: 3, unsent: 1, answered: times, withoutRetry: 1},
		{name: "another", length: time.Second, answered: times},
	}}, {name: "right after it", note: "a note"}}}
	for _, want := range []string{
		"| load | one | 40 | 1 | 2 | 3 | 1.00 | 2.00 | 100 |\n|  | another | as answered | 0 | 2 | 0 | 1.00 | 2.00 |  |",
		"* load, one: 1 times 429 without Retry-After, 0 requests failed", "* a note, after load",
	} {
		if table := r.table(); !strings.Contains(table, want) {
			t.Errorf("no %s in\n%s", want, table)
		}
	}
}
