package serviceaccount

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"github.com/mintmark/mintmark/internal/plainjson"
	"github.com/mintmark/mintmark/internal/reason"
)

// header is the JOSE header of a token (RFC 7515 section 4).
type header struct {
	algorithm string
	keyID     string
	// unsignable says that no key of ours signs a token with such a header, although the token is well-formed.
	unsignable bool
	// refused is the error of a part of the header that can't be read.
	refused error
}

// headers remembers headers as they stand in tokens: all tokens that a key signs have the same one.
type headers struct {
	mu    sync.Mutex                             // for adding
	known atomic.Pointer[map[string]knownHeader] // no map is changed
}

// knownHeader is a header that a token had which a key has signed.
type knownHeader struct {
	header
	key Key
}

const (
	// maxHeaders is how many are remembered: more than are in use at a time.
	maxHeaders = 64
	// plainLength is the length of the longest header that is remembered, or read as a plain one.
	plainLength = 1 << 10
)

func (h *headers) all() map[string]knownHeader {
	if known := h.known.Load(); known != nil {
		return *known
	}
	return nil
}

// read reads a header that is known or of the plainest kind. It reports false for any other.
func (h *headers) read(encoded string) (header, bool) {
	if len(encoded) > plainLength {
		return header{}, false
	}
	if known, ok := h.all()[encoded]; ok {
		return known.header, true
	}
	text, ok := decodePart(encoded)
	if !ok {
		return header{}, false
	}
	return readPlainHeader(text)
}

// add remembers the header of a token that a key has signed. It forgets those of keys that are withdrawn, and any one of the
// others if there are too many.
func (h *headers) add(encoded string, read header, key Key) {
	if _, ok := h.all()[encoded]; ok || len(encoded) > plainLength {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	grown := map[string]knownHeader{strings.Clone(encoded): {read, key}}
	for other, known := range h.all() {
		if len(grown) < maxHeaders && !known.key.Withdrawn() {
			grown[other] = known
		}
	}
	h.known.Store(&grown)
}

var headerMembers = []string{"alg", "kid", "typ"}

// readPlainHeader reads a header of the plainest kind. It reports false for any other.
func readPlainHeader(text string) (h header, ok bool) {
	r := plainjson.NewReader(text)
	r.Object(headerMembers, func(place int) {
		switch value := r.String(); headerMembers[place] {
		case "alg":
			h.algorithm = value
		case "kid":
			h.keyID = value
		}
	})
	return h, r.Done()
}

// readHeader reads a header however it is written. It reports false for one that no token of a service account has. Members
// that are not understood are ignored, as RFC 7515 section 4 wants it, but for those that crit names. Keys in the header
// are never used.
func readHeader(encoded string) (h header, ok bool) {
	text, ok := decodePart(encoded)
	if !ok {
		return h, false
	}
	if text == "" {
		h.unsignable = true
		return h, true
	}
	// The standard library refuses text that is nested too deeply for a recursive decoder; josejson doesn't.
	if !json.Valid([]byte(text)) {
		return h, false
	}
	var members map[string]josejson.RawMessage
	if josejson.Unmarshal([]byte(text), &members) != nil {
		return h, false
	}
	for name, value := range members {
		if string(value) == "null" {
			continue
		}
		if !h.readMember(name, value) {
			return h, false
		}
	}
	return h, true
}

func (h *header) readMember(name string, value josejson.RawMessage) bool {
	switch name {
	case "alg":
		return josejson.Unmarshal(value, &h.algorithm) == nil
	case "kid":
		return josejson.Unmarshal(value, &h.keyID) == nil
	case "nonce":
		var ignored string
		return josejson.Unmarshal(value, &ignored) == nil
	case "jwk":
		var key jose.JSONWebKey
		return josejson.Unmarshal(value, &key) == nil && key.Valid() && key.IsPublic()
	case "x5c":
		return validChain(value)
	}
	// An ignored member must still have one reading only: no object in it has a member twice.
	var ignored any
	if josejson.Unmarshal(value, &ignored) != nil {
		return false
	}
	switch name {
	case "crit":
		// RFC 7515 section 4.1.11: we understand no extension. An empty list names none.
		var names []string
		switch err := josejson.Unmarshal(value, &names); {
		case err != nil:
			h.refused = reason.With(reason.BadShape, err)
		case len(names) > 0:
			h.unsignable = true
		}
	case "b64":
		// RFC 7797: the payload of our tokens is always encoded.
		encoded := true
		if josejson.Unmarshal(value, &encoded) != nil || !encoded {
			h.unsignable = true
		}
	}
	return true
}

func validChain(value josejson.RawMessage) bool {
	var chain []string
	if josejson.Unmarshal(value, &chain) != nil {
		return false
	}
	for _, item := range chain {
		der, err := base64.StdEncoding.DecodeString(item)
		if err != nil {
			return false
		}
		if _, err := x509.ParseCertificate(der); err != nil {
			return false
		}
	}
	return true
}
