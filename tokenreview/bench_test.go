package tokenreview_test

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/tokenreview"
)

// cached returns a client that has the verdict about a token of a kilobyte.
func cached(tb testing.TB) (*tokenreview.Client, string) {
	tb.Helper()
	padding := make([]byte, 300)
	_, _ = rand.Read(padding)
	token := jwt(map[string]any{"iss": fakeIssuer, "exp": time.Now().Add(time.Hour).Unix(), "padding": hex.EncodeToString(padding)})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true,"user":{"username":"system:serviceaccount:shop:app"},"audiences":["orders"]}}`))
	}))
	tb.Cleanup(server.Close)
	client, err := tokenreview.New(tokenreview.Config{
		Server: &rest.Config{Host: server.URL}, Audiences: []string{"orders"}, ShortTTL: time.Hour, WithoutFeed: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	if _, ok, err := client.AuthenticateToken(tb.Context(), token); !ok {
		tb.Fatal(err)
	}
	return client, token
}

func BenchmarkCached(b *testing.B) {
	client, token := cached(b)
	b.SetBytes(int64(len(token)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := client.AuthenticateToken(b.Context(), token); !ok {
			b.Fatal(err)
		}
	}
}

func BenchmarkCachedParallel(b *testing.B) {
	client, token := cached(b)
	b.ReportAllocs()
	ctx := b.Context()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok, err := client.AuthenticateToken(ctx, token); !ok {
				b.Fatal(err)
			}
		}
	})
}

// TestCachedAllocatesNothing holds the cached check to no allocation.
func TestCachedAllocatesNothing(t *testing.T) {
	client, token := cached(t)
	ctx := t.Context()
	if got := testing.AllocsPerRun(100, func() { _, _, _ = client.AuthenticateToken(ctx, token) }); got != 0 {
		t.Errorf("%v allocations for a token of %d bytes", got, len(token))
	}
	if strings.Count(token, ".") != 2 {
		t.Error("the token is no JWT")
	}
}
