package mintmarktest_test

import (
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/mintmark/mintmark/mintmarktest"
)

// renew sends a new token whenever four fifths of the life of the one before are over, as a kubelet does.
func renew(c clock.Clock, life time.Duration, request func() string, tokens chan<- string, stop <-chan struct{}) {
	for {
		timer := c.NewTimer(life * 4 / 5)
		tokens <- request()
		select {
		case <-timer.C():
		case <-stop:
			return
		}
	}
}

// TestRenewal: a token that lives for ten minutes is renewed without a wait.
func TestRenewal(t *testing.T) {
	server := mintmarktest.Start(t)
	options := forProxy
	options.Expiration = 10 * time.Minute
	tokens, stop := make(chan string), make(chan struct{})
	defer close(stop)
	go renew(server.Clock, options.Expiration, func() string { return server.Issue("shop/cart", options) }, tokens, stop)
	began := time.Now()
	first := <-tokens
	server.Clock.Advance(8 * time.Minute)
	second := <-tokens
	if !review(t, server, first).Authenticated || !review(t, server, second).Authenticated {
		t.Error("around the renewal both tokens are good")
	}
	server.Clock.Advance(3 * time.Minute)
	if review(t, server, first).Authenticated {
		t.Error("the first token is good after its end")
	}
	if !review(t, server, second).Authenticated {
		t.Error("the second token is not good")
	}
	t.Logf("a renewal after 8 minutes, tested in %s", time.Since(began))
}
