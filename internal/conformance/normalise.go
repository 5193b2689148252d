package conformance

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// normaliser turns what differs from run to run into placeholders. Values that must stay equal to each other get
// numbered ones, in the order in which they are first seen: <uid:1>, <uid:2>, ...
type normaliser struct {
	known   []replacement     // longest value first
	numbers map[string]string // kind and value → placeholder
	counts  map[string]int    // kind → placeholders given out
	plain   bool              // leave the numbers out
}

type replacement struct{ value, placeholder string }

func newNormaliser(host string) *normaliser {
	n := &normaliser{numbers: map[string]string{}, counts: map[string]int{}}
	n.know(host, "<host>")
	return n
}

func (n *normaliser) clone() *normaliser {
	return &normaliser{
		known:   slices.Clone(n.known),
		numbers: maps.Clone(n.numbers),
		counts:  maps.Clone(n.counts),
		plain:   n.plain,
	}
}

// know makes every later occurrence of value read as placeholder.
func (n *normaliser) know(value, placeholder string) {
	if value == "" || n.knows(value) {
		return
	}
	n.known = append(n.known, replacement{value, placeholder})
	slices.SortStableFunc(n.known, func(a, b replacement) int { return cmp.Compare(len(b.value), len(a.value)) })
}

func (n *normaliser) knows(value string) bool {
	return slices.ContainsFunc(n.known, func(k replacement) bool { return k.value == value })
}

// number returns the placeholder of a value of some kind.
func (n *normaliser) number(kind, value string) string {
	if n.plain {
		return "<" + kind + ">"
	}
	key := kind + " " + value
	if n.numbers[key] == "" {
		n.counts[kind]++
		n.numbers[key] = fmt.Sprintf("<%s:%d>", kind, n.counts[kind])
	}
	return n.numbers[key]
}

var (
	uuidShape  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timeShape  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	clockShape = regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC`)
	dateShape  = regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b`)
	ageShape   = regexp.MustCompile(`^(\d+[ydhms]){1,2}$`)
	// Places in source code and resource versions within messages.
	schemeShape  = regexp.MustCompile(`(in scheme )"[^"]*"`)
	versionShape = regexp.MustCompile(`(?i)((?:resourceVersion in object meta|current): |"resourceVersion\\?":\\?")\d+`)
)

// text replaces what is volatile within a string.
func (n *normaliser) text(t string) string {
	for _, k := range n.known {
		t = strings.ReplaceAll(t, k.value, k.placeholder)
	}
	t = uuidShape.ReplaceAllStringFunc(t, func(id string) string {
		if strings.HasPrefix(id, "00000000-") { // for scenarios: a uid that stays
			return id
		}
		return n.number("uid", id)
	})
	t = replaceTimes(t, timeShape, time.RFC3339, "<time>")
	t = replaceTimes(t, clockShape, "2006-01-02 15:04:05 -0700 MST", "<time>")
	t = replaceTimes(t, dateShape, time.DateOnly, "<date>")
	t = schemeShape.ReplaceAllString(t, "$1<scheme>")
	t = versionShape.ReplaceAllString(t, "${1}<rv>")
	const most = 1024
	if len(t) > most {
		t = fmt.Sprintf("%s… (%d bytes, SHA-256 %.4x)", t[:24], len(t), sha256.Sum256([]byte(t)))
	}
	return t
}

// replaceTimes tells times made during a run from those written in a scenario, which stay.
func replaceTimes(t string, shape *regexp.Regexp, format, placeholder string) string {
	return shape.ReplaceAllStringFunc(t, func(moment string) string {
		m, err := time.Parse(format, moment)
		if err != nil || time.Since(m).Abs() >= 48*time.Hour {
			return moment
		}
		return placeholder
	})
}

// value replaces what is volatile within a JSON value; key is the member that holds it.
func (n *normaliser) value(v any, key string) any {
	switch v := v.(type) {
	case string:
		return n.scalar(v, key)
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = n.value(element, key)
		}
		return out
	case map[string]any:
		return n.object(v)
	}
	return v
}

func (n *normaliser) scalar(v, key string) any {
	switch {
	case key == "continue" && v != "":
		return "<continue>"
	case key == "kid":
		return n.number("kid", v)
	case key == "cells" && ageShape.MatchString(v):
		return "<age>"
	}
	t := n.text(v)
	if jwtShape.MatchString(v) && !strings.HasPrefix(t, "{{") {
		return n.token(v)
	}
	return t
}

func (n *normaliser) object(v map[string]any) map[string]any {
	// The random end of a generated name, wherever it comes up again.
	if start, _ := v["generateName"].(string); start != "" {
		name, _ := v["name"].(string)
		if name != start && strings.HasPrefix(name, start) && !n.knows(name) {
			n.know(name, start+n.number("suffix", name))
		}
	}
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(v)) {
		out[n.text(key)] = n.value(v[key], key)
	}
	if version, _ := v["resourceVersion"].(string); version != "" && version != "0" {
		out["resourceVersion"] = "<rv>"
		if uid, ok := v["uid"].(string); ok {
			out["resourceVersion"] = n.number("rv", uid+"/"+version)
		}
	}
	if v["kty"] != nil {
		for _, part := range []string{"x", "y", "n", "e"} {
			if v[part] != nil {
				out[part] = "<key>"
			}
		}
	}
	// The end of an issued token's life, counted from its iat.
	if token, ok := v["token"].(string); ok && jwtShape.MatchString(token) {
		expires, _ := v["expirationTimestamp"].(string)
		_, claims, err := decodeJWT(token)
		if end, bad := time.Parse(time.RFC3339, expires); err == nil && bad == nil {
			out["expirationTimestamp"] = sinceIssued(claims, strconv.FormatInt(end.Unix(), 10))
		}
	}
	return out
}

// token shows a JWT as what it says, with its times counted from iat.
func (n *normaliser) token(token string) any {
	header, claims, err := decodeJWT(token)
	if err != nil {
		return n.text(token)
	}
	inner, _ := claims["kubernetes.io"].(map[string]any)
	for _, at := range []struct {
		in   map[string]any
		name string
	}{{claims, "exp"}, {claims, "nbf"}, {inner, "warnafter"}} {
		if moment, ok := at.in[at.name].(json.Number); ok {
			at.in[at.name] = sinceIssued(claims, moment.String())
		}
	}
	if issued, ok := unix(claims["iat"]); ok && time.Since(issued).Abs() < 5*time.Minute {
		claims["iat"] = "<now>"
	}
	return map[string]any{"header": n.value(header, ""), "claims": n.value(claims, "")}
}

// sinceIssued writes a time as its distance from a token's iat.
func sinceIssued(claims map[string]any, at string) any {
	issued, ok := unix(claims["iat"])
	end, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil {
		return at
	}
	return fmt.Sprintf("<iat%+ds>", end-issued.Unix())
}

func unix(v any) (time.Time, bool) {
	number, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Int64()
	return time.Unix(seconds, 0), err == nil
}
