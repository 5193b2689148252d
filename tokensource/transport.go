package tokensource

import (
	"io"
	"net/http"
)

// maxDrained is how much of a refusal is read, so that its connection can be used again.
const maxDrained = 64 << 10

// Transport returns a transport that sends the token with each request that has no header Authorization. If the server answers 401, it gets a
// new token and sends the request once more, unless its body can't be read again. A redirect to another host does not get the
// token, nor does one that leads back from there. A nil base means http.DefaultTransport.
func (s *Source) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{source: s, base: base}
}

type transport struct {
	source *Source
	base   http.RoundTripper
}

// RoundTrip sends a request.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" || elsewhere(r) {
		return t.base.RoundTrip(r)
	}
	token, err := t.source.TokenContext(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	response, err := t.base.RoundTrip(with(r, token.AccessToken, r.Body))
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	other := t.source.replace(r.Context(), token.AccessToken)
	if other == nil {
		return response, nil
	}
	body := r.Body
	if body != nil && body != http.NoBody {
		if r.GetBody == nil {
			return response, nil // the next request has the new token
		}
		if body, err = r.GetBody(); err != nil {
			return response, nil //nolint:nilerr // the answer is there
		}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxDrained))
	_ = response.Body.Close()
	return t.base.RoundTrip(with(r, other.AccessToken, body))
}

// with returns a request with a token. The one that it is made of must not be changed.
func with(r *http.Request, token string, body io.ReadCloser) *http.Request {
	r = r.Clone(r.Context())
	r.Body = body
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// elsewhere reports whether a redirect has led a request to another host, or by way of one.
func elsewhere(r *http.Request) bool {
	for later := r; later.Response != nil; later = later.Response.Request {
		before := later.Response.Request
		if before == nil || before.URL.Host != r.URL.Host || before.URL.Scheme == "https" && r.URL.Scheme != "https" {
			return true
		}
	}
	return false
}
