package revocation

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"time"
)

// Credential is what a token says that a revocation can go by.
type Credential struct {
	// Own says that it is a service account token of this server.
	Own bool
	// Foreign says that the user is none of this server's accounts, whatever its name is.
	Foreign bool
	// Issuer and Subject are the claims iss and sub, and ID is the claim jti.
	Issuer, Subject, ID string
	// KeyID is the kid of the header.
	KeyID string
	// Namespace and Account name the service account.
	Namespace, Account string
	// IssuedAt is the claim iat, in seconds since the epoch, if the token is Dated.
	IssuedAt int64
	Dated    bool
}

// Google's issuer, and the same without the scheme, as tokens may have it (OpenID Connect Core 1.0 section 2, note).
const (
	Google     = "https://accounts.google.com"
	BareGoogle = "accounts.google.com"
)

// Read returns what a token says, though nothing of it is verified. A text that is no JWT says nothing.
func Read(token string) (c Credential) {
	head, payload, ok := decode(token)
	if !ok {
		return c
	}
	c.KeyID = member[string](head, "kid")
	var claims map[string]json.RawMessage
	if json.Unmarshal(payload, &claims) != nil {
		return c
	}
	c.Issuer, c.Subject, c.ID = issuerOf(claims, payload), member[string](claims, "sub"), member[string](claims, "jti")
	if c.Issuer == BareGoogle {
		c.Issuer = Google
	}
	if at := member[*float64](claims, "iat"); at != nil && math.Abs(*at) < math.MaxInt64 {
		c.IssuedAt, c.Dated = int64(*at), true
	}
	return c
}

// issuerOf returns the claim iss as the library reads it, which chooses the issuer's keys by it: the name counts in other letters as
// well, and of several the last counts.
func issuerOf(claims map[string]json.RawMessage, payload []byte) string {
	for name := range claims {
		if name == "iss" || !strings.EqualFold(name, "iss") {
			continue
		}
		var says struct {
			Issuer string `json:"iss"`
		}
		if json.Unmarshal(payload, &says) != nil {
			return ""
		}
		return says.Issuer
	}
	return member[string](claims, "iss")
}

// Audiences returns the audiences that a token names, though nothing of it is verified.
func Audiences(token string) []string {
	_, payload, ok := decode(token)
	var claims map[string]json.RawMessage
	if !ok || json.Unmarshal(payload, &claims) != nil {
		return nil
	}
	if one := member[string](claims, "aud"); one != "" {
		return []string{one}
	}
	return member[[]string](claims, "aud")
}

// End returns when a token ends by its claim exp, though nothing of it is verified. It reports false if there is none.
func End(token string) (time.Time, bool) {
	_, payload, ok := decode(token)
	var claims map[string]json.RawMessage
	if !ok || json.Unmarshal(payload, &claims) != nil {
		return time.Time{}, false
	}
	end := member[*float64](claims, "exp")
	if end == nil || math.Abs(*end) > maxSeconds {
		return time.Time{}, false
	}
	return time.Unix(int64(math.Ceil(*end)), 0), true
}

// maxSeconds is beyond the last instant that RFC 3339 can write.
const maxSeconds = 1 << 40

// member returns a member of a JSON object, or nothing if it is of another type.
func member[T any](of map[string]json.RawMessage, name string) (value T) {
	if json.Unmarshal(of[name], &value) != nil {
		var none T
		return none
	}
	return value
}

// Hash returns the SHA-256 by which a token without a credential id is taken back: of a JWT, that of its header and payload
// with the dot between them, and of any other token that of its text.
//
// The signature is left out because it is not unique: each ECDSA signature has a twin that is good as well. Header and
// payload are encoded anew, since some verifiers accept base64 whose last bits differ.
func Hash(token string) [sha256.Size]byte {
	header, payload, ok := parts(token)
	if _, _, isJWT := decode(token); !ok || !isJWT {
		return sha256.Sum256([]byte(token))
	}
	signed := append(canonical(header), '.')
	return sha256.Sum256(append(signed, canonical(payload)...))
}

// parts returns the first two of the three parts of a JWT in compact serialization (RFC 7515 section 7.1).
func parts(token string) (header, payload string, ok bool) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	return header, payload, ok && strings.IndexByte(signature, '.') < 0
}

// decode returns the header and the payload of a JWT. It reports false for any other text: the header of a JWT is a JSON
// object with the member alg.
func decode(token string) (head map[string]json.RawMessage, payload []byte, ok bool) {
	header, body, ok := parts(token)
	if !ok {
		return nil, nil, false
	}
	decoded, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil || json.Unmarshal(decoded, &head) != nil || head["alg"] == nil {
		return nil, nil, false
	}
	payload, err = base64.RawURLEncoding.DecodeString(body)
	return head, payload, err == nil
}

// canonical returns a part of a token in its one canonical spelling.
func canonical(part string) []byte {
	decoded, _ := base64.RawURLEncoding.DecodeString(part) // decode has seen that it can be decoded
	return base64.RawURLEncoding.AppendEncode(nil, decoded)
}
