package apiserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/testserver"
)

// caller429 sends reviews with one token over connections of its own.
type caller429 struct {
	client *http.Client
	url    string
	body   []byte
	token  string
}

func newCaller429(t *testing.T, s *testserver.Server, version int, token string) caller429 {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.RootCAs)
	versions := &http.Protocols{}
	versions.SetHTTP1(version == 1)
	versions.SetHTTP2(version == 2)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: versions, MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	body := fmt.Appendf(nil, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":%q}}`, token)
	return caller429{&http.Client{Transport: transport}, s.URL, body, token}
}

// review returns the status, and complains about a 429 that is not as it should be.
func (c caller429) review(t *testing.T, door string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, c.url+reviewDoors[door], bytes.NewReader(c.body))
	if err != nil {
		t.Error(err)
		return 0
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := c.client.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	const tooMany = "Too many requests, please try again later.\n"
	if answer.StatusCode == http.StatusTooManyRequests && (string(text) != tooMany || answer.Header.Get("Retry-After") != "1") {
		t.Errorf("429 with Retry-After %q: %s", answer.Header.Get("Retry-After"), text)
	}
	return answer.StatusCode
}

// TestOverload: a caller floods a server, over both transports and both versions of HTTP. Requests of the flood are shed.
// Those of another caller are not, and neither are the administrator's; and when the flood has ended, no request is.
func TestOverload(t *testing.T) { // not beside other tests: they would be shed for
	tokens := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(tokens, []byte("admin-token,admin,admin,system:masters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testserver.Start(t, "--shed-load=true", "--token-auth-file="+tokens)
	makeAccounts(t, s.Admin(), "flood", "polite")
	allowReviews(t, s.Admin(), "flood")
	allowReviews(t, s.Admin(), "polite")
	flood, polite := issue(t, s.Admin(), "flood", nil), issue(t, s.Admin(), "polite", nil)
	for door := range reviewDoors {
		for version, streams := range map[int]int{1: 300, 2: 90} {
			t.Run(fmt.Sprintf("%s, HTTP/%d", door, version), func(t *testing.T) {
				var mu sync.Mutex
				statuses := map[int]int{}
				flooder, other, admin := newCaller429(t, s, version, flood), newCaller429(t, s, version, polite), newCaller429(t, s, version, "admin-token")
				var flooding sync.WaitGroup
				defer flooding.Wait()
				// The flood goes on for a second, and on a machine that has the callers wait elsewhere until it is noticed.
				var shed atomic.Bool
				for end := time.Now().Add(time.Second); streams > 0; streams-- {
					flooding.Go(func() {
						for time.Now().Before(end) || !shed.Load() && time.Now().Before(end.Add(20*time.Second)) {
							status := flooder.review(t, door)
							if status == http.StatusTooManyRequests {
								shed.Store(true)
							}
							mu.Lock()
							statuses[status]++
							mu.Unlock()
						}
					})
				}
				late := 0
				for range 10 {
					if status := admin.review(t, door); status != http.StatusCreated {
						t.Errorf("the administrator: status %d", status)
					}
					switch status := other.review(t, door); status {
					case http.StatusCreated:
					case http.StatusTooManyRequests:
						late++ // the processors belong to others for a quarter of a second
					default:
						t.Errorf("another caller: status %d", status)
					}
				}
				if late > 3 {
					t.Errorf("another caller was shed %d times of 10", late)
				}
				flooding.Wait()
				// Over HTTP/2 so many streams may wait for their client on a busy machine, and be no overload.
				answered, refused := statuses[http.StatusCreated], statuses[http.StatusTooManyRequests]
				delete(statuses, http.StatusCreated)
				delete(statuses, http.StatusTooManyRequests)
				if answered == 0 || refused == 0 && version == 1 || len(statuses) > 0 {
					t.Errorf("of the flood %d were answered, %d shed, and others %v", answered, refused, statuses)
				}
				for range 10 {
					if status := flooder.review(t, door); status != http.StatusCreated {
						t.Errorf("after the flood: status %d", status)
					}
				}
			})
		}
	}
}
