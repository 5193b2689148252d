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

// rateLimited is the transport to an issuer. A token with a key id that the issuer's key set lacks has the set read again,
// since the issuer may have a new key. Tokens with made-up key ids would have the set read without end: beyond the limit,
// the document that was read last is returned again.
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

// maxDocuments and maxDocument bound the documents that are kept: the discovery document, the key set, and two more.
const maxDocuments, maxDocument = 4, 128 << 10

func newRateLimited(base http.RoundTripper) *rateLimited {
	return &rateLimited{base: base, limit: rate.NewLimiter(fetchesPerSecond, fetchBurst), last: map[string]*document{}}
}

// RoundTrip reads a document. Requests with an Authorization header (distributed claims, OpenID Connect Core 1.0 section
// 5.6.2) and bodies that are not JSON are passed through and not kept.
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
