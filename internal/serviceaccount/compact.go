package serviceaccount

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"

	"github.com/mintmark/mintmark/internal/plainjson"
)

// compact is a token in JWS compact serialization (RFC 7515 section 7.1), taken apart but not checked.
type compact struct {
	algorithm string
	keyID     string
	issuer    string
	// claims are the claims, if they are written as we write them; nil otherwise.
	claims *Claims
	// refused is why no key of ours can have made the signature, although the token is well-formed.
	refused   error
	payload   []byte
	signed    []byte // header and payload as they stand in the token
	signature []byte
}

// errSignature is what a token gets whose header asks for what no key of ours would sign.
var errSignature = errors.New("go-jose/go-jose: error in cryptographic primitive")

// encoding is base64url without padding, in its one canonical form: whoever compares tokens as text, as lists of revoked
// ones do, can't be shown the same one in another spelling.
var encoding = base64.RawURLEncoding.Strict()

// split finds the three parts of a token, and reports whether there are just three. It takes no memory: whatever isn't a
// token at all is turned away here.
func split(token string) (header, payload, signature string, ok bool) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, ok = strings.Cut(rest, ".")
	return header, payload, signature, ok && strings.IndexByte(signature, '.') < 0
}

// parseCompact takes a token apart. It reports false for what is no token of any service account, which another
// authenticator may understand.
func parseCompact(token string, issuers func(string) bool) (compact, bool) {
	header, payload, signature, ok := split(token)
	if !ok {
		return compact{}, false
	}
	var c compact
	if c.payload, ok = decodePart(payload); !ok {
		return compact{}, false
	}
	if !c.readIssuer() || !issuers(c.issuer) {
		return compact{}, false
	}
	decoded, ok := decodePart(header)
	if !ok || !c.readPlainHeader(decoded) && !c.readHeader(decoded) {
		return compact{}, false
	}
	if c.signature, ok = decodePart(signature); !ok {
		return compact{}, false
	}
	c.signed = []byte(token[:len(header)+1+len(payload)])
	return c, true
}

// readIssuer reads who claims to have issued the token.
func (c *compact) readIssuer() bool {
	if claims, ok := readClaims(string(c.payload)); ok {
		c.issuer, c.claims = claims.Issuer, &claims
		return true
	}
	// The issuer that routes the token is read as kube-apiserver reads it, and read again, strictly, once the
	// signature is known to be good.
	var peek struct {
		Issuer string `json:"iss"`
	}
	err := json.Unmarshal(c.payload, &peek)
	c.issuer = peek.Issuer
	return err == nil
}

var headerMembers = []string{"alg", "kid", "typ"}

// readPlainHeader reads a JOSE header of the plainest kind. It reports false, and has read nothing, for any other.
func (c *compact) readPlainHeader(header []byte) bool {
	var algorithm, keyID string
	r := plainjson.NewReader(string(header))
	r.Object(headerMembers, func(place int) {
		switch value := r.String(); headerMembers[place] {
		case "alg":
			algorithm = value
		case "kid":
			keyID = value
		}
	})
	if !r.Done() {
		return false
	}
	c.algorithm, c.keyID = algorithm, keyID
	return true
}

// decodePart decodes a part of a token. Line breaks, which the decoder would skip, are no part of one.
func decodePart(part string) ([]byte, bool) {
	if strings.IndexByte(part, '\r') >= 0 || strings.IndexByte(part, '\n') >= 0 {
		return nil, false
	}
	decoded, err := encoding.DecodeString(part)
	return decoded, err == nil
}

// readHeader reads the JOSE header. Members that are not understood are ignored, as RFC 7515 section 4 wants it, but
// for those that crit names. Keys in the header are never used.
func (c *compact) readHeader(header []byte) bool {
	if len(header) == 0 {
		c.refused = errSignature
		return true
	}
	// The standard library refuses what is nested too deeply for a recursive decoder; the other one doesn't.
	if !json.Valid(header) {
		return false
	}
	var members map[string]josejson.RawMessage
	if josejson.Unmarshal(header, &members) != nil {
		return false
	}
	for name, value := range members {
		if string(value) == "null" {
			continue
		}
		if !c.readMember(name, value) {
			return false
		}
	}
	return true
}

func (c *compact) readMember(name string, value josejson.RawMessage) bool {
	switch name {
	case "alg":
		return josejson.Unmarshal(value, &c.algorithm) == nil
	case "kid":
		return josejson.Unmarshal(value, &c.keyID) == nil
	case "nonce":
		var ignored string
		return josejson.Unmarshal(value, &ignored) == nil
	case "jwk":
		var key jose.JSONWebKey
		return josejson.Unmarshal(value, &key) == nil && key.Valid() && key.IsPublic()
	case "x5c":
		return validChain(value)
	}
	// What is not looked at must still be read in one way only: no object in it has a member twice.
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
			c.refused = err
		case len(names) > 0:
			c.refused = errSignature
		}
	case "b64":
		// RFC 7797: the payload of our tokens is always encoded.
		encoded := true
		if c.refused == nil && (josejson.Unmarshal(value, &encoded) != nil || !encoded) {
			c.refused = errSignature
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
