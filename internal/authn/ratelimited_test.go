package authn

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Documents are read again at a pace; what is somebody's own is always asked for.
func TestPaced(t *testing.T) {
	for name, test := range map[string]struct {
		body        string
		header      http.Header
		rateLimited bool
	}{
		"document":       {body: `{"keys":[]}`, rateLimited: true},
		"a user's claim": {body: "e30.e30.c2ln"},
		"a credential":   {body: `{}`, header: http.Header{"Authorization": {"Bearer x"}}},
		"long":           {body: `"` + strings.Repeat("a", maxDocument) + `"`},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			p := newRateLimited(roundTripper(func(r *http.Request) (*http.Response, error) {
				calls++
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(test.body)), Request: r}, nil
			}))
			const asked = 100
			for range asked {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://issuer.example/keys", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				request.Header = test.header.Clone()
				response, err := p.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				if err != nil || string(body) != test.body || response.Body.Close() != nil {
					t.Fatal(err, fmt.Sprintf("%.40s", body))
				}
			}
			if fewer := calls < asked; fewer != test.rateLimited {
				t.Errorf("%d calls for %d questions", calls, asked)
			}
		})
	}
}
