package externaljwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// claims are the claims to sign, and what is read of them. They are signed as they came.
type claims struct {
	text      []byte
	subject   string
	audiences []string
	end       time.Time
}

// maxTime is the latest time that a claim may name: RFC 3339, in which it is stored, has years of four digits.
var maxTime = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).Unix()

// errEndless says that claims have no end. kube-apiserver signs none: the tokens in secrets, which have no end, are the
// controller manager's.
var errEndless = errors.New("the claims have no exp: a token without end is not signed here, since its key could never be withdrawn")

// parseClaims reads claims as they are in the second part of a JWT.
func parseClaims(encoded string) (*claims, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return nil, errors.New("the claims are not unpadded base64url")
	}
	members, err := parseObject(text)
	if err != nil {
		return nil, fmt.Errorf("the claims are no JSON object that can be signed: %w", err)
	}
	c := &claims{text: text}
	end, found := members["exp"]
	if !found {
		return nil, errEndless
	}
	if c.end, err = parseTime(end); err != nil {
		return nil, fmt.Errorf("exp %w", err)
	}
	// These are for the audit log and the choice of the key. Claims in which they are something else are the caller's choice.
	_ = json.Unmarshal(members["sub"], &c.subject)
	if json.Unmarshal(members["aud"], &c.audiences) != nil {
		c.audiences = make([]string, 1)
		if json.Unmarshal(members["aud"], &c.audiences[0]) != nil {
			c.audiences = nil
		}
	}
	return c, nil
}

// parseObject reads a JSON object whose members have different names. Of a name that is there twice, verifiers read either.
func parseObject(text []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("it does not begin with {")
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errors.New("it is no JSON")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errors.New("it is no JSON")
		}
		key, _ := name.(string) // the decoder takes nothing else for a name
		if _, found := members[key]; found {
			return nil, errors.New("a member is there twice")
		}
		members[key] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errors.New("it has no end")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind it")
	}
	return members, nil
}

// parseTime reads a NumericDate (RFC 7519 section 2). A fraction is rounded up.
func parseTime(value json.RawMessage) (time.Time, error) {
	var number json.Number
	if err := json.Unmarshal(value, &number); err != nil || bytes.HasPrefix(value, []byte(`"`)) || number == "" {
		return time.Time{}, errors.New("is no number")
	}
	seconds, err := number.Int64()
	if err != nil {
		float, err := number.Float64()
		if err != nil || math.Abs(float) > float64(maxTime) {
			return time.Time{}, errors.New("is out of range")
		}
		seconds = int64(math.Ceil(float))
	}
	if seconds <= 0 || seconds > maxTime {
		return time.Time{}, errors.New("is out of range")
	}
	return time.Unix(seconds, 0), nil
}
