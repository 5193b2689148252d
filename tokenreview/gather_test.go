package tokenreview_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mintmark/mintmark/mintmarktest"
	"github.com/mintmark/mintmark/tokenreview"
)

// TestGatherAtServer gathers reviews for a real server: each token gets its own verdict, and the requests are fewer than the tokens.
func TestGatherAtServer(t *testing.T) {
	server := mintmarktest.Start(t)
	options := mintmarktest.IssueOptions{Audiences: []string{"orders"}}
	names := map[string]string{}
	for i := range 20 {
		account := fmt.Sprint("cart-", i)
		names[server.Issue("shop/"+account, options)] = "system:serviceaccount:shop:" + account
	}
	for kind, token := range server.Forgeries("shop/cart-0", options) {
		if kind != mintmarktest.TwoSignatures { // no token at all to this client
			names[token] = ""
		}
	}
	var mu sync.Mutex
	seen := map[string]int{}
	server.OnReview(func(review *authenticationv1.TokenReview) {
		mu.Lock()
		defer mu.Unlock()
		seen[review.Spec.Token]++
	})
	client, err := tokenreview.New(tokenreview.Config{Server: server.AdminConfig(), Audiences: options.Audiences, Gather: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var all sync.WaitGroup
	for token, want := range names {
		all.Go(func() {
			response, ok, err := client.AuthenticateToken(t.Context(), token)
			switch {
			case errors.Is(err, tokenreview.ErrUnavailable), ok != (want != ""):
				t.Errorf("%q: %t, %v", want, ok, err)
			case ok && response.User.GetName() != want:
				t.Errorf("%s, want %s", response.User.GetName(), want)
			}
		})
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	if requests := client.Stats().Requests; len(seen) != len(names) || requests >= uint64(len(names)) {
		t.Errorf("%d of %d tokens were reviewed in %d requests", len(seen), len(names), requests)
	}
}
