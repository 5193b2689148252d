package tokenreview_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/tokenreview"
)

// hours is a clock that a test moves.
type hours struct{ by atomic.Int64 }

func (h *hours) now() time.Time       { return time.Now().Add(time.Duration(h.by.Load())) }
func (h *hours) pass(d time.Duration) { h.by.Add(int64(d)) }

func ask(t *testing.T, client *tokenreview.Client, token string) (string, error) {
	t.Helper()
	response, ok, err := client.AuthenticateToken(t.Context(), token)
	if !ok {
		return "", err
	}
	return response.User.GetName(), err
}

// TestTimesToLive counts reviews while time passes, without a feed: successes and refusals have times of their own, no success outlives
// the token, and answers of the server that are no verdicts are not kept.
func TestTimesToLive(t *testing.T) {
	t.Parallel()
	f, clock := newFake(t), &hours{}
	client := f.client(tokenreview.Config{ShortTTL: 10 * time.Second, FailureTTL: 2 * time.Second, Now: clock.now})
	long := jwt(map[string]any{"iss": fakeIssuer, "exp": time.Now().Add(time.Hour).Unix()})
	brief := jwt(map[string]any{"iss": fakeIssuer, "exp": time.Now().Add(15 * time.Second).Unix()})
	over := jwt(map[string]any{"iss": fakeIssuer, "exp": time.Now().Add(-5 * time.Second).Unix()}) // within the server's leeway
	for _, token := range []string{long, brief, over, "opaque"} {
		f.allow(token, account("app"))
	}
	for _, step := range []struct {
		token string
		after time.Duration
		asked bool
	}{
		{long, 0, true},
		{long, 0, false},
		{long, 9 * time.Second, false},
		{long, time.Second, true},
		{brief, 0, true},
		{brief, 0, false},
		{over, 0, true},
		{over, 0, true},
		{"opaque", 0, true},
		{"opaque", 9 * time.Second, false},
		{"opaque", 2 * time.Second, true},
		{"bad", 0, true},
		{"bad", time.Second, false},
		{"bad", 2 * time.Second, true},
	} {
		clock.pass(step.after)
		before := f.count()
		name, err := ask(t, client, step.token)
		if good := step.token != "bad"; (name == "system:serviceaccount:shop:app") != good || good && err != nil {
			t.Fatalf("%+v: %q, %v", step, name, err)
		}
		if asked := f.count() > before; asked != step.asked {
			t.Errorf("%+v: asked: %t", step, asked)
		}
	}
	clock.pass(-30 * time.Second)
	if _, err := ask(t, client, "bad"); err == nil || strings.Contains(err.Error(), "bad") || errors.Is(err, tokenreview.ErrUnavailable) {
		t.Errorf("a refusal repeats the token, or is none: %v", err)
	}
}

// TestAudiences asks for audiences and gets answers about others, or about none.
func TestAudiences(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := f.client(tokenreview.Config{Audiences: []string{"orders", "stock"}})
	for token, answered := range map[string][]string{"one": {"stock"}, "both": {"stock", "orders", "x"}, "other": {"x"}, "none": nil} {
		f.allow(token, account("app", answered...))
	}
	for token, want := range map[string]string{"one": "[stock]", "both": "[orders stock]", "other": "", "none": ""} {
		response, ok, err := client.AuthenticateToken(t.Context(), token)
		got := ""
		if ok {
			got = fmt.Sprint(response.Audiences)
		}
		if got != want || ok != (want != "") || ok == (err != nil) {
			t.Errorf("%s: %q, %t, %v", token, got, ok, err)
		}
	}
	// Audiences of a request take the place of the client's, and have verdicts of their own.
	ctx := authenticator.WithAudiences(t.Context(), authenticator.Audiences{"x"})
	for range 2 {
		if response, ok, err := client.AuthenticateToken(ctx, "other"); !ok || err != nil || !slices.Equal(response.Audiences, []string{"x"}) {
			t.Errorf("asked for x: %v, %t, %v", response, ok, err)
		}
	}
	if got := f.count(); got != 5 {
		t.Errorf("%d reviews", got)
	}
	// No audiences in a request are no reason to accept a token for any.
	none := authenticator.WithAudiences(t.Context(), authenticator.Audiences{})
	for _, token := range []string{"other", "none"} {
		if _, ok, _ := client.AuthenticateToken(none, token); ok {
			t.Errorf("%s is accepted for no audience", token)
		}
	}
}

// TestConfig refuses limits that let nothing through, and takes a bound of the memory that keeps nothing.
func TestConfig(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.allow("token", account("app"))
	server := &rest.Config{Host: f.URL}
	for _, cfg := range []tokenreview.Config{{}, {Server: server, MaxInFlight: -1}, {Server: server, MaxRate: -1}, {Server: server, Timeout: -1}, {Server: server, MaxSilence: -1}} {
		if client, err := tokenreview.New(cfg); err == nil {
			client.Close()
			t.Errorf("%+v is taken", cfg)
		}
	}
	client := f.client(tokenreview.Config{CacheBytes: -1})
	for range 2 {
		if who, err := ask(t, client, "token"); who == "" {
			t.Fatal(err)
		}
		if _, err := ask(t, client, "bad"); err == nil || errors.Is(err, tokenreview.ErrUnavailable) {
			t.Errorf("a refusal: %v", err)
		}
	}
	if s := client.Stats(); f.count() != 4 || s.CachedBytes != 0 {
		t.Errorf("%d reviews, %d bytes", f.count(), s.CachedBytes)
	}
}

// TestShared has many callers ask about one token at a time. There is one review, and it goes on when the caller has gone who began it.
func TestShared(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	f.set(func(http.ResponseWriter, *http.Request) bool {
		close(begun)
		<-finish
		return false
	})
	f.allow("token", account("app"))
	client := f.client(tokenreview.Config{})
	first, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, _, err := client.AuthenticateToken(first, "token")
		left <- err
	}()
	<-begun
	var waiting sync.WaitGroup
	for range 10 {
		waiting.Go(func() {
			if _, ok, err := client.AuthenticateToken(t.Context(), "token"); !ok || err != nil {
				t.Errorf("one who waited: %t, %v", ok, err)
			}
		})
	}
	eventually(t, "all wait", func() bool { return client.Stats().Shared == 10 })
	leave()
	if err := <-left; !errors.Is(err, tokenreview.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
	close(finish)
	waiting.Wait()
	if got := f.count(); got != 1 {
		t.Errorf("%d reviews", got)
	}
}

// TestFaults has the server fail in ways that pass and in ways that don't. No fault is a refusal, none is kept, and none repeats the token.
func TestFaults(t *testing.T) {
	t.Parallel()
	status := func(code int, times int) func(http.ResponseWriter, *http.Request) bool {
		var n atomic.Int64
		return func(w http.ResponseWriter, _ *http.Request) bool {
			if n.Add(1) > int64(times) {
				return false
			}
			w.Header().Set("Retry-After", "0")
			http.Error(w, "secret-token is what you asked", code)
			return true
		}
	}
	hang := func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // else the server doesn't notice that the client has gone
		<-r.Context().Done()
		return true
	}
	cut := func(w http.ResponseWriter, _ *http.Request) bool {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.Close()
		return true
	}
	junk := func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "{}"); return true }
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		good   bool
		most   int // reviews
	}{
		"unavailable, twice":    {status(503, 2), true, 3},
		"too many, once":        {status(429, 1), true, 2},
		"unavailable, for good": {status(503, 1000), false, 20},
		"forbidden":             {status(403, 1000), false, 1},
		"not found":             {status(404, 1000), false, 1},
		"unauthorized, once":    {status(401, 1), true, 2},
		"unauthorized":          {status(401, 1000), false, 2},
		"no review":             {junk, false, 1},
		"hangs":                 {hang, false, 2},
		"cuts":                  {cut, false, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.allow("secret-token", account("app"))
			f.set(test.answer)
			timeout := time.Second
			if test.good {
				timeout = 0 // the usual one
			}
			client := f.client(tokenreview.Config{Timeout: timeout})
			who, err := ask(t, client, "secret-token")
			if (who != "") != test.good || test.good != (err == nil) || err != nil && !errors.Is(err, tokenreview.ErrUnavailable) {
				t.Errorf("%q, %v", who, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the error has the token: %v", err)
			}
			if got := f.count(); got > test.most {
				t.Errorf("%d reviews", got)
			}
			f.set(nil)
			if who, err := ask(t, client, "secret-token"); who == "" || err != nil {
				t.Errorf("afterwards: %q, %v", who, err)
			}
		})
	}
}

// TestRetryAfter gives up at once when the server says to come back later than there is time.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	client := f.client(tokenreview.Config{Timeout: time.Hour})
	if _, err := ask(t, client, "token"); !errors.Is(err, tokenreview.ErrUnavailable) || f.count() != 1 {
		t.Errorf("%v after %d reviews", err, f.count())
	}
}

// TestAway reviews at a server that is not there, comes, and goes: verdicts are answered from memory while it is away.
func TestAway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	f, clock := newFake(t), &hours{}
	f.allow("token", account("app"))
	client := f.client(tokenreview.Config{Server: &rest.Config{Host: "http://" + address}, Timeout: time.Second, Now: clock.now})
	if _, err := ask(t, client, "token"); !errors.Is(err, tokenreview.ErrUnavailable) {
		t.Fatalf("the server is away: %v", err)
	}
	if listener, err = net.Listen("tcp", address); err != nil {
		t.Skipf("another program took the port: %v", err)
	}
	server := &http.Server{Handler: f.Config.Handler, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	if who, err := ask(t, client, "token"); who == "" {
		t.Fatalf("the server is there: %v", err)
	}
	_ = server.Close()
	if who, err := ask(t, client, "token"); who == "" {
		t.Errorf("from memory: %v", err)
	}
	clock.pass(tokenreview.DefaultShortTTL)
	if who, err := ask(t, client, "token"); who != "" || !errors.Is(err, tokenreview.ErrUnavailable) {
		t.Errorf("the verdict is old: %q, %v", who, err)
	}
}

// TestLimits has more tokens come than may be reviewed at a time: the server never sees more than that.
func TestLimits(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var now, most atomic.Int64
	f.set(func(http.ResponseWriter, *http.Request) bool {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		time.Sleep(time.Millisecond)
		return false
	})
	client := f.client(tokenreview.Config{MaxInFlight: 3})
	var asking sync.WaitGroup
	for i := range 50 {
		asking.Go(func() { _, _, _ = client.AuthenticateToken(t.Context(), fmt.Sprint("token", i)) })
	}
	asking.Wait()
	if got := most.Load(); got > 3 {
		t.Errorf("%d at a time", got)
	}
	few := f.client(tokenreview.Config{MaxRate: 0.01})
	refused := 0
	for i := range 3 {
		if _, err := ask(t, few, fmt.Sprint("other", i)); errors.Is(err, tokenreview.ErrUnavailable) {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d of 3 were refused by the rate", refused)
	}
}

// TestBounded has more tokens come than fit: the memory stays within its bound.
func TestBounded(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := f.client(tokenreview.Config{CacheBytes: 64 << 10})
	for i := range 150 {
		token := fmt.Sprint("token", i)
		f.allow(token, account(fmt.Sprint("app", i)))
		if who, err := ask(t, client, token); who == "" {
			t.Fatal(err)
		}
		if _, err := ask(t, client, fmt.Sprint("bad", i)); err == nil {
			t.Fatal("a bad token is good")
		}
	}
	if s := client.Stats(); s.CachedBytes > 64<<10 || s.Cached == 0 {
		t.Errorf("%d verdicts in %d bytes", s.Cached, s.CachedBytes)
	}
}

// TestCredentialsRotate replaces the token file of the connection while the server refuses the old token.
func TestCredentialsRotate(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.allow("token", account("app"))
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var accepted atomic.Pointer[string]
	accept := func(bearer string) { accepted.Store(&bearer) }
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer "+*accepted.Load() {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	write("old")
	accept("old")
	client := f.client(tokenreview.Config{Server: &rest.Config{Host: f.URL, BearerTokenFile: file}, ShortTTL: -1})
	if who, err := ask(t, client, "token"); who == "" {
		t.Fatal(err)
	}
	write("new")
	accept("new")
	if who, err := ask(t, client, "token"); who == "" {
		t.Errorf("after the file was replaced: %v", err)
	}
}

// TestGather has reviews share requests, and falls back to single ones at a server that doesn't know them.
func TestGather(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.allow("token", account("app"))
	client := f.client(tokenreview.Config{Gather: true})
	if who, err := ask(t, client, "token"); who == "" || f.count() != 1 {
		t.Errorf("%q, %v after %d reviews", who, err, f.count())
	}
	f.mu.Lock()
	f.many = true
	f.mu.Unlock()
	client = f.client(tokenreview.Config{Gather: true})
	before := f.count()
	var asking sync.WaitGroup
	for i := range 40 {
		token := fmt.Sprint("token", i)
		if i%2 == 0 {
			f.allow(token, account(fmt.Sprint("app", i)))
		}
		asking.Go(func() {
			who, err := ask(t, client, token)
			if good := i%2 == 0; (who == fmt.Sprint("system:serviceaccount:shop:app", i)) != good || errors.Is(err, tokenreview.ErrUnavailable) {
				t.Errorf("%s: %q, %v", token, who, err)
			}
		})
	}
	asking.Go(func() {
		if _, err := ask(t, client, "undecided"); !errors.Is(err, tokenreview.ErrUnavailable) {
			t.Errorf("no verdict: %v", err)
		}
	})
	asking.Wait()
	if got := f.count() - before; got > 20 {
		t.Errorf("%d requests for 41 tokens", got)
	}
	// A list with a huge token is refused as a whole. The others in it get their verdicts.
	client = f.client(tokenreview.Config{Gather: true, ShortTTL: -1})
	for i := range 10 {
		token := fmt.Sprint("token", 2*i)
		asking.Go(func() {
			if who, err := ask(t, client, token); who == "" {
				t.Errorf("%s, beside a huge token: %v", token, err)
			}
		})
	}
	asking.Go(func() {
		if _, err := ask(t, client, strings.Repeat("x", hugeList)); err == nil || errors.Is(err, tokenreview.ErrUnavailable) {
			t.Error("a huge token has no verdict")
		}
	})
	asking.Wait()
}

func TestClosed(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := f.client(tokenreview.Config{})
	client.Close()
	if _, err := ask(t, client, "token"); !errors.Is(err, tokenreview.ErrUnavailable) {
		t.Errorf("a closed client: %v", err)
	}
}
