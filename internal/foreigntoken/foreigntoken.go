// Package foreigntoken reads tokens of other issuers (RFC 7519), the JSON Web Key Sets of their issuers (RFC 7517), and the
// errors that the library's authenticator has about them. The issuers of the configuration and the TrustedIssuers share it.
package foreigntoken

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/mintmark/mintmark/internal/plainjson"
	"github.com/mintmark/mintmark/internal/revocation"
)

// maxRead is the longest token whose claims are read before its issuer is known.
const maxRead = 1 << 20

// Issuer reads the issuer of a token as the library reads it, before anything about the token has been checked. It allocates
// nothing for a text that has not three parts. Unlike the library, which skips white space and takes JSON serialization as well,
// it knows tokens in compact serialization only: a token that was taken back has no second spelling.
func Issuer(token string) (string, bool) {
	if strings.Count(token, ".") != 2 || len(token) > maxRead || !isCompact(token) {
		return "", false
	}
	payload, ok := payloadOf(token)
	if !ok {
		return "", false
	}
	issuer, ok := plainjson.Text(payload, "iss")
	if !ok {
		var claims struct {
			Issuer string `json:"iss"`
		}
		if json.Unmarshal([]byte(payload), &claims) != nil {
			return "", false
		}
		issuer = claims.Issuer
	}
	if issuer == revocation.BareGoogle {
		return revocation.Google, true
	}
	return issuer, true
}

// End returns when a good token ends.
func End(token string) time.Time {
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	payload, ok := payloadOf(token)
	if !ok || json.Unmarshal([]byte(payload), &claims) != nil {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expiry), 0)
}

// payloadOf returns the decoded second part of a token.
func payloadOf(token string) (string, bool) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	return string(decoded), err == nil
}

// isCompact reports whether a text has the characters of compact serialization alone (RFC 7515 section 7.1).
func isCompact(token string) bool {
	for i := range len(token) {
		switch b := token[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_', b == '.':
		default:
			return false
		}
	}
	return true
}
