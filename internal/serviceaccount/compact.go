package serviceaccount

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/mintmark/mintmark/internal/reason"
)

// compact is a token in JWS compact serialization (RFC 7515 section 7.1), taken apart but not checked.
type compact struct {
	token string
	parts struct{ header, payload, signature string } // as they stand in the token

	header
	// headerRead says that the header has been read before the other parts, which is done with plain headers.
	headerRead bool
	issuer     string
	// claims are the claims, if they are written as we write them; nil otherwise.
	claims    *Claims
	payload   string
	signature string
	// broken names the part that can't be read, if one can't.
	broken string
}

// encoding is base64url without padding, in its one canonical form. A token then has one spelling, so lists of revoked
// tokens and caches can compare text.
var encoding = base64.RawURLEncoding.Strict()

// split finds the three parts of a token, and reports whether there are just three. It takes no memory: whatever isn't a
// token at all is turned away here.
func (c *compact) split(token string) bool {
	c.token = token
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	c.parts.header, c.parts.payload, c.parts.signature = header, payload, signature
	return ok && strings.IndexByte(signature, '.') < 0
}

// signed returns the input of the signature: header and payload as they stand in the token.
func (c *compact) signed() string { return c.token[:len(c.parts.header)+1+len(c.parts.payload)] }

// parse reads the parts. It returns why the text is no token of any service account, which another authenticator may
// understand, or nothing.
func (c *compact) parse(issuers func(string) bool) reason.Code {
	var ok bool
	if c.payload, ok = decodePart(c.parts.payload); !ok {
		c.broken = "claims"
		return reason.BadShape
	}
	if foreign := c.readIssuer(issuers); foreign != reason.None {
		return foreign
	}
	if !c.headerRead {
		if c.header, ok = readHeader(c.parts.header); !ok {
			c.broken = "header"
			return reason.BadShape
		}
	}
	if c.signature, ok = decodePart(c.parts.signature); !ok {
		c.broken = "signature"
		return reason.BadShape
	}
	return reason.None
}

// readIssuer reads who claims to have issued the token. It returns why that is none of the issuers, or nothing.
func (c *compact) readIssuer(issuers func(string) bool) reason.Code {
	if claims, ok := readClaims(c.payload); ok {
		if c.issuer = claims.Issuer; !issuers(c.issuer) {
			return reason.UnknownIssuer
		}
		kept := claims // a copy for the heap: a refused token takes no memory
		c.claims = &kept
		return reason.None
	}
	// The issuer that routes the token is read as kube-apiserver reads it, and read again, strictly, once the
	// signature is known to be good.
	var peek struct {
		Issuer string `json:"iss"`
	}
	err := json.Unmarshal([]byte(c.payload), &peek)
	c.issuer = peek.Issuer
	switch {
	case err != nil:
		c.broken = "claims"
		return reason.BadShape
	case !issuers(c.issuer):
		return reason.UnknownIssuer
	}
	return reason.None
}

// decodePart decodes a part of a token. Line breaks, which the decoder would skip, are no part of one.
func decodePart(part string) (string, bool) {
	if strings.IndexByte(part, '\r') >= 0 || strings.IndexByte(part, '\n') >= 0 {
		return "", false
	}
	var stack [usualPayload]byte
	decoded, err := encoding.AppendDecode(stack[:0], []byte(part))
	return string(decoded), err == nil
}
