package tokensource_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/tokensource"
)

// issuer is a server that issues numbered tokens of some life, and answers requests that have the newest one with 200.
type issuer struct {
	mu     sync.Mutex
	life   time.Duration
	moved  string        // where all requests are to go instead
	ahead  time.Duration // of the server's clock
	failed error
	code   int // instead of a token
	issued int
	calls  []string
	specs  []authenticationv1.TokenRequestSpec
	refuse bool // all tokens
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls = append(i.calls, r.Header.Get("Authorization"))
	answer := func(code int, body any) (*http.Response, error) {
		data, _ := json.Marshal(body)
		return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(data))), Request: r}, nil
	}
	if i.moved != "" {
		header := http.Header{"Location": {i.moved}}
		return &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: header, Body: http.NoBody, Request: r}, nil
	}
	if !strings.HasSuffix(r.URL.Path, "/token") {
		if r.Header.Get("Authorization") != "Bearer "+i.token() || i.refuse {
			return answer(http.StatusUnauthorized, nil)
		}
		if r.Body != nil {
			data, _ := io.ReadAll(r.Body)
			return answer(http.StatusOK, string(data))
		}
		return answer(http.StatusOK, nil)
	}
	if i.failed != nil || i.code != 0 {
		if i.failed != nil {
			return nil, i.failed
		}
		return answer(i.code, metav1.Status{Message: "no"})
	}
	var request authenticationv1.TokenRequest
	_ = json.NewDecoder(r.Body).Decode(&request)
	i.specs = append(i.specs, request.Spec)
	i.issued++
	request.Status = authenticationv1.TokenRequestStatus{Token: i.token(), ExpirationTimestamp: metav1.NewTime(time.Now().Add(i.ahead + i.life))}
	return answer(http.StatusCreated, request)
}

// token is the newest token.
func (i *issuer) token() string {
	at := time.Date(2000, 1, 1, 0, 0, i.issued, 0, time.UTC).Add(i.ahead).Unix()
	payload := fmt.Sprintf(`{"iat":%d,"exp":%d,"n":%d}`, at, at+int64(i.life/time.Second), i.issued)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.issued
}

func newSource(t *testing.T, i *issuer) *tokensource.Source {
	t.Helper()
	source, err := tokensource.New(tokensource.Config{
		Server:    &rest.Config{Host: "https://tokens.example", Transport: i},
		Namespace: "shop", Account: "orders", Audiences: []string{"stock"}, Expiration: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

// use takes the token, and waits for what that has begun.
func use(t *testing.T, source *tokensource.Source) (string, error) {
	t.Helper()
	token, err := source.Token()
	synctest.Wait()
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// TestRenewal lets an hour pass. The token is renewed once, between 75 and 80 % of its life, whatever the server's clock says.
func TestRenewal(t *testing.T) {
	for _, ahead := range []time.Duration{0, -3 * time.Hour, 3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{life: time.Hour, ahead: ahead}
			source := newSource(t, i)
			begun := time.Now()
			for i.count() < 2 {
				if _, err := use(t, source); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
			}
			if after := time.Since(begun); after < 45*time.Minute || after > 48*time.Minute+20*time.Second {
				t.Errorf("ahead by %s: renewed after %s", ahead, after)
			}
			if spec := i.specs[0]; len(spec.Audiences) != 1 || spec.Audiences[0] != "stock" || *spec.ExpirationSeconds != 3600 {
				t.Errorf("asked for %+v", spec)
			}
		})
	}
}

// TestServerAway has no server from before the renewal on: the last token is used until it ends, not longer, and the server is not asked each
// time. When it is there again, there is a new token.
func TestServerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{life: time.Hour}
		source := newSource(t, i)
		first, err := use(t, source)
		if err != nil {
			t.Fatal(err)
		}
		i.set(func() { i.failed = errors.New("away") })
		begun := time.Now()
		for time.Since(begun) < time.Hour-time.Second {
			if got, err := use(t, source); got != first {
				t.Fatalf("after %s: %v", time.Since(begun), err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		if _, err := use(t, source); !errors.Is(err, tokensource.ErrUnavailable) {
			t.Errorf("after its end: %v", err)
		}
		i.set(func() {
			if len(i.calls) > 60 {
				t.Errorf("asked %d times in a quarter of an hour", len(i.calls))
			}
			i.failed = nil
		})
		time.Sleep(2 * time.Minute)
		if got, err := use(t, source); got == "" || got == first {
			t.Errorf("the server is there again: %v", err)
		}
	})
}

// TestShared has many goroutines want the first token, and one of them give up.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{life: time.Hour}
		source := newSource(t, i)
		var waiting sync.WaitGroup
		for range 20 {
			waiting.Go(func() {
				if _, err := source.Token(); err != nil {
					t.Error(err)
				}
			})
		}
		waiting.Wait()
		if got := i.count(); got != 1 {
			t.Errorf("%d tokens", got)
		}
	})
}

// TestRefusals says what the server says, and never a token.
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{life: time.Hour, code: http.StatusForbidden}
		source := newSource(t, i)
		if _, err := use(t, source); !errors.Is(err, tokensource.ErrUnavailable) || !strings.Contains(err.Error(), "403: no") {
			t.Errorf("got %v", err)
		}
		source.Close()
		if _, err := use(t, source); !errors.Is(err, tokensource.ErrUnavailable) {
			t.Errorf("a closed source: %v", err)
		}
	})
}

// TestTransport sends requests: with a token, once more after 401 with another one, without a token to a host to which a redirect leads.
func TestTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{life: time.Hour}
		source := newSource(t, i)
		client := &http.Client{Transport: source.Transport(i)}
		post := func() int {
			t.Helper()
			response, err := client.Post("https://stock.example/", "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if data, _ := io.ReadAll(response.Body); response.StatusCode == http.StatusOK && string(data) != `"body"` {
				t.Errorf("the server got %s", data)
			}
			return response.StatusCode
		}
		if got := post(); got != http.StatusOK || i.count() != 1 {
			t.Errorf("%d, %d tokens", got, i.count())
		}
		i.set(func() { i.issued++ }) // the token is not the newest one any more: 401
		if got := post(); got != http.StatusOK || i.count() != 3 {
			t.Errorf("after a refusal: %d, %d tokens", got, i.count())
		}
		time.Sleep(time.Minute)
		i.set(func() { i.refuse = true })
		for range 5 {
			if got := post(); got != http.StatusUnauthorized {
				t.Errorf("all tokens are refused: %d", got)
			}
		}
		if got := i.count(); got != 4 {
			t.Errorf("%d tokens after five refusals", got)
		}
		redirects(t, client.Transport, i)
	})
}

// redirects sends a request to which redirects have led.
func redirects(t *testing.T, transport http.RoundTripper, i *issuer) {
	t.Helper()
	i.set(func() { i.refuse = false })
	for _, test := range []struct {
		way  []string // "?" has no request
		gets bool
	}{
		{[]string{"https://stock.example/a", "https://stock.example/b"}, true},
		{[]string{"http://stock.example/a", "https://stock.example/b"}, true},
		{[]string{"https://stock.example/", "https://elsewhere.example/"}, false},
		{[]string{"https://stock.example/", "https://stock.example:8443/"}, false},
		{[]string{"https://stock.example/", "http://stock.example/"}, false},
		{[]string{"https://stock.example/", "https://elsewhere.example/", "https://stock.example/"}, false},
		{[]string{"https://elsewhere.example/", "https://stock.example/"}, false},
		{[]string{"?", "https://stock.example/"}, false},
	} {
		var request *http.Request
		for _, hop := range test.way {
			next, _ := http.NewRequest(http.MethodGet, hop, nil)
			if request != nil {
				next.Response = &http.Response{Request: request}
				if request.URL.Host == "" {
					next.Response.Request = nil
				}
			}
			request = next
		}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if last := i.calls[len(i.calls)-1]; (last != "") != test.gets {
			t.Errorf("%q: gets the token: %t", test.way, last != "")
		}
	}
}

// TestServerRedirects has the server that issues tokens send the source elsewhere, where its credentials must not go.
func TestServerRedirects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{life: time.Hour, moved: "https://elsewhere.example/token"}
		source, err := tokensource.New(tokensource.Config{
			Server: &rest.Config{Host: "https://tokens.example", Transport: i, BearerToken: "own"}, Namespace: "shop", Account: "orders",
		})
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		if _, err := use(t, source); !errors.Is(err, tokensource.ErrUnavailable) || !strings.Contains(err.Error(), "307") || strings.Contains(err.Error(), "own") {
			t.Errorf("got %v", err)
		}
		if len(i.calls) != 1 {
			t.Errorf("%d calls", len(i.calls))
		}
	})
}

// TestFile replaces a file, takes it away, and has a server refuse its token.
func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		source := tokensource.FromFile(file)
		defer source.Close()
		if _, err := use(t, source); !errors.Is(err, tokensource.ErrUnavailable) {
			t.Errorf("no file: %v", err)
		}
		time.Sleep(2 * time.Second)
		i := &issuer{life: time.Hour, issued: 1}
		i.life = time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) + time.Hour
		one := i.token()
		write(one)
		if got, err := use(t, source); got != one {
			t.Errorf("the file is there: %v", err)
		}
		i.issued = 2
		write(i.token())
		time.Sleep(11 * time.Second)
		_, _ = use(t, source) // has it read
		if got, _ := use(t, source); got != i.token() {
			t.Error("the file was replaced")
		}
		i.issued = 3
		write(i.token())
		client := &http.Client{Transport: source.Transport(i)}
		response, err := client.Get("https://stock.example/")
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("the old token is refused: %v, %v", response, err)
		}
		_ = response.Body.Close()
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		_, _ = use(t, source)
		if got, err := use(t, source); got != i.token() {
			t.Errorf("the file is away: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := use(t, source); !errors.Is(err, tokensource.ErrUnavailable) {
			t.Errorf("the token in the file has ended: %v", err)
		}
	})
}
