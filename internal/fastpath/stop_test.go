package fastpath_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestStop has a server stop while requests are in flight, one over either transport: both are answered. What comes before
// the server closes its port is the generic chain's.
func TestStop(t *testing.T) { // not beside others: the metrics are the process's
	hook := newWebhook(t)
	users := write(t, "tokens.csv", "all-token,all,all-uid,system:masters\n")
	server := testserver.Start(t, "--controllers=", "--token-auth-file="+users, hook.flag, "--shutdown-delay-duration=3s")
	all := as(t, server, "all-token")
	done := make(chan *answer, len(shapes))
	for shape, header := range shapes {
		go func() {
			got, err := all.post(context.WithoutCancel(t.Context()), reviewsPath, reviewOf("blocked-"+shape), header)
			if err != nil {
				t.Error(err)
			}
			done <- got
		}()
		<-hook.asked
	}
	if !all.goesFast(t) {
		t.Fatal("the fast path doesn't answer before the server stops")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop() }()
	for began := time.Now(); all.goesFast(t); {
		if time.Since(began) > 2*time.Second {
			t.Fatal("the fast path still answers")
		}
	}
	untilClosed(t, strings.TrimPrefix(server.URL, "https://"))
	for range shapes {
		hook.release <- struct{}{}
		if got := <-done; got == nil || got.status != 201 || !strings.Contains(got.body, "unknown here") {
			t.Error("a request in flight is not answered")
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// goesFast reports whether the fast path answers a review.
func (c caller) goesFast(t *testing.T) bool {
	t.Helper()
	const answered = `mintmark_fastpath_requests_total outcome="answered"`
	before := series(t)[answered]
	c.mustPost(t, 201, reviewsPath, reviewOf("x"))
	return series(t)[answered] > before
}

// untilClosed waits until nobody listens at an address.
func untilClosed(t *testing.T, address string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < 20*time.Second; <-tick.C {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		_ = connection.Close()
	}
	t.Fatal("the port is still open")
}

// TestTransportSecurity: --strict-transport-security-directives are in every answer, once.
func TestTransportSecurity(t *testing.T) {
	t.Parallel()
	users := write(t, "tokens.csv", "all-token,all,all-uid,system:masters\nnobody-token,nobody,nobody-uid\n")
	server := testserver.Start(t, "--controllers=", "--token-auth-file="+users, "--strict-transport-security-directives=max-age=31536000,includeSubDomains")
	for shape, header := range shapes {
		for token, status := range map[string]int{"all-token": 201, "nobody-token": 403, "wrong-token": 401} {
			got := as(t, server, token).mustPost(t, status, reviewsPath, reviewOf("x"), header)
			if diff := cmp.Diff([]string{"max-age=31536000; includeSubDomains"}, got.header.Values("Strict-Transport-Security")); diff != "" {
				t.Errorf("%s, status %d: %s", shape, status, diff)
			}
		}
	}
}
