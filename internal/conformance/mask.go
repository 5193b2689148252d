package conformance

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// mask keeps tokens out of reports: it replaces them by their credential id or, if they have none, a hash.
type mask struct{ known []string } // longest first

// Whole and broken JWTs, those within the base64 of Secrets, and OpenShift's opaque tokens.
var tokenShape = regexp.MustCompile(`eyJ[\w-]{8,}(?:\.[\w-]*){0,2}|ZXlK[\w+/]{12,}={0,2}|sha256~[\w-]{16,}`)

func newMask(tokens ...string) *mask {
	m := &mask{}
	for _, token := range tokens {
		m.add(token)
	}
	return m
}

// add makes a token known, for those that cannot be told by their shape.
func (m *mask) add(token string) {
	if token == "" || slices.Contains(m.known, token) {
		return
	}
	m.known = append(m.known, token)
	slices.SortFunc(m.known, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

// text masks the tokens in a text.
func (m *mask) text(text string) string {
	for _, token := range m.known {
		text = strings.ReplaceAll(text, token, credentialID(token))
	}
	return tokenShape.ReplaceAllStringFunc(text, credentialID)
}

// show writes a value, masked, as one line of bearable length.
func (m *mask) show(v any) string {
	if v == nil {
		return "nothing"
	}
	return shorten(m.text(toJSON(v)))
}

// credentialID names a token without giving it away.
func credentialID(token string) string {
	if _, claims, err := decodeJWT(token); err == nil {
		if jti, ok := claims["jti"].(string); ok {
			return "<token JTI=" + jti + ">"
		}
	}
	return fmt.Sprintf("<token %.6x>", sha256.Sum256([]byte(token)))
}

// shorten cuts a text off where a line gets too long.
func shorten(text string) string {
	const most = 240
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
