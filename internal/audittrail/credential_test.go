package audittrail

import (
	"encoding/base64"
	"strings"
	"testing"
)

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func jwtOf(header, claims string) string { return encoded(header) + "." + encoded(claims) + ".c2ln" }

func TestCredentialID(t *testing.T) {
	const header = `{"alg":"ES256"}`
	hashed := func(token string) string { return hashID(token[:strings.LastIndexByte(token, '.')]) }
	withoutID, opaque := jwtOf(header, `{"sub":"a"}`), "sha256~"+strings.Repeat("A", 43)
	for name, test := range map[string]struct{ token, want string }{
		"jti":                     {jwtOf(header, `{"jti":"one"}`), "JTI=one"},
		"jti with any characters": {jwtOf(header, `{"jti":"<a> \"b\" JTI="}`), `JTI=<a> "b" JTI=`},
		"longest jti":             {jwtOf(header, `{"jti":"`+strings.Repeat("x", 256)+`"}`), "JTI=" + strings.Repeat("x", 256)},
		"too long a jti":          {jwtOf(header, `{"jti":"`+strings.Repeat("x", 257)+`"}`), hashed(jwtOf(header, `{"jti":"`+strings.Repeat("x", 257)+`"}`))},
		"no jti":                  {withoutID, hashed(withoutID)},
		"another signature":       {strings.TrimSuffix(withoutID, "c2ln") + "AAAA", hashed(withoutID)},
		"a number as jti":         {jwtOf(header, `{"jti":7}`), hashed(jwtOf(header, `{"jti":7}`))},
		"a member JTI":            {jwtOf(header, `{"JTI":"one"}`), hashed(jwtOf(header, `{"JTI":"one"}`))},
		"claims are no object":    {jwtOf(header, `"jti"`), ""},
		"header is no object":     {jwtOf(`[]`, `{"jti":"one"}`), ""},
		"four parts":              {jwtOf(header, `{"jti":"one"}`) + ".x", ""},
		"two parts":               {encoded(header) + "." + encoded(`{"jti":"one"}`), ""},
		"not base64url":           {"a+b.c/d.e", ""},
		"access token":            {opaque, hashID(opaque)},
		"short access token":      {"sha256~password", ""},
		"bootstrap token":         {"abcdef.0123456789abcdef", hashID("abcdef.0123456789abcdef")},
		"password":                {"hunter2", ""},
		"password with dots":      {"a.b.c", ""},
		"nothing":                 {"", ""},
	} {
		if got := CredentialID(test.token); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
