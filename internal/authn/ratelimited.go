package authn

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"golang.org/x/time/rate"
)

const (
	// fetchesPerSecond and fetchBurst pace the reading of an issuer's documents.
	fetchesPerSecond, fetchBurst = 1, 10
)

// rateLimited is the transport to an issuer. A token that names a key which the issuer's key set lacks has the set read again,
// since the issuer may have a new key; tokens with made-up keys would have it read without end. When they do, what was
// read last is read again.
type rateLimited struct {
	base  http.RoundTripper
	limit *rate.Limiter

	mu   sync.Mutex
	last map[string]*document // by URL; there are two
}

type document struct {
	header http.Header
	body   []byte
}

// maxDocuments and maxDocument bound what is kept: the discovery document and the key set, and as many more.
const maxDocuments, maxDocument = 4, 128 << 10

func newRateLimited(base http.RoundTripper) *rateLimited {
	return &rateLimited{base: base, limit: rate.NewLimiter(fetchesPerSecond, fetchBurst), last: map[string]*document{}}
}

// RoundTrip reads a document. What needs a credential, or is not JSON, is none and is passed on: claims of one user, which
// an issuer may keep at a place of their own (OpenID Connect Core 1.0 section 5.6.2).
func (p *rateLimited) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet || request.Header.Get("Authorization") != "" {
		return p.base.RoundTrip(request)
	}
	url := request.URL.String()
	p.mu.Lock()
	known := p.last[url]
	p.mu.Unlock()
	if known != nil && !p.limit.Allow() {
		return &http.Response{
			Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: known.header.Clone(), Body: io.NopCloser(bytes.NewReader(known.body)), ContentLength: int64(len(known.body)), Request: request,
		}, nil
	}
	response, err := p.base.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if len(body) <= maxDocument && json.Valid(body) && (known != nil || len(p.last) < maxDocuments) {
		p.last[url] = &document{header: response.Header.Clone(), body: body}
	}
	p.mu.Unlock()
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}
