package conformance

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// volatile sets a variable whose value differs from run to run; where it comes back in an answer, the record shows the
// variable.
func (s *session) volatile(name, value string) {
	s.vars[name] = value
	s.norm.know(value, "{{"+name+"}}")
	s.norm.know(base64.StdEncoding.EncodeToString([]byte(value)), "{{b64:"+name+"}}")
}

var variable = regexp.MustCompile(`\{\{([a-z0-9A-Z_]+)(?::([^{}]*))?\}\}`)

// expand fills in the variables of a text:
//
//	{{name}}          captured, forged, or one of ns, id6, id16 (random texts), admin_token, alice_token
//	{{b64:name}}      the same in base64
//	{{sha256:parts}}  a hash in unpadded base64url, sha512 likewise; parts are variables and 'texts', joined by +
//	{{repeat:text:n}} text n times
//	{{time:+3600}}    a moment relative to now, in RFC 3339
func (s *session) expand(text string) (string, error) {
	var failed error
	out := variable.ReplaceAllStringFunc(text, func(ref string) string {
		m := variable.FindStringSubmatch(ref)
		value, ok := s.evaluate(ref, m[1], m[2])
		if !ok {
			failed = fmt.Errorf("%s has no value", ref)
			return ref
		}
		return value
	})
	return out, failed
}

func (s *session) evaluate(ref, name, argument string) (string, bool) {
	switch name {
	case "repeat":
		what, times, _ := strings.Cut(argument, ":")
		n, err := strconv.Atoi(times)
		return strings.Repeat(what, max(n, 0)), err == nil
	case "time":
		n, err := strconv.Atoi(argument)
		return time.Now().Add(time.Duration(n) * time.Second).UTC().Format(time.RFC3339), err == nil
	case "sha256", "sha512":
		joined, ok := s.join(argument)
		if !ok {
			return "", false
		}
		sum := digest(name, joined)
		s.norm.know(sum, ref)
		return sum, true
	case "b64":
		value, ok := s.vars[argument]
		return base64.StdEncoding.EncodeToString([]byte(value)), ok
	}
	value, ok := s.vars[name]
	return value, ok
}

var hashPart = regexp.MustCompile(`^(?:'([^']*)'|([a-z0-9A-Z_]+))(?:\+|$)`)

// join evaluates the argument of a hash: variables and 'texts' joined by +.
func (s *session) join(parts string) (string, bool) {
	joined := ""
	for parts != "" {
		m := hashPart.FindStringSubmatch(parts)
		if m == nil {
			return "", false
		}
		parts = parts[len(m[0]):]
		value, ok := m[1], true
		if m[2] != "" {
			value, ok = s.vars[m[2]]
		}
		if !ok {
			return "", false
		}
		joined += value
	}
	return joined, joined != ""
}

func digest(kind, text string) string {
	if kind == "sha512" {
		sum := sha512.Sum512([]byte(text))
		return encode(sum[:])
	}
	sum := sha256.Sum256([]byte(text))
	return encode(sum[:])
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func decode(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }

// decodeJSON keeps numbers as they are written.
func decodeJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}

// plainText is the text form of a value: strings as they are, anything else as JSON.
func plainText(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	return toJSON(v)
}

func toJSON(v any) string {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(buf.String(), "\n")
}
