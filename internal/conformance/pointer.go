package conformance

import (
	"strconv"
	"strings"
)

var unescapePointer = strings.NewReplacer("~1", "/", "~0", "~")

// pointerKeys splits a JSON pointer (RFC 6901) into its keys.
func pointerKeys(pointer string) []string {
	if pointer == "" {
		return nil
	}
	keys := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, key := range keys {
		keys[i] = unescapePointer.Replace(key)
	}
	return keys
}

// lookUp follows a JSON pointer.
func lookUp(v any, pointer string) (any, bool) {
	for _, key := range pointerKeys(pointer) {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[key]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// edit puts what change returns in the place of each value that keys lead to, or takes the value out when it returns
// false. The key * leads to every member and element; an element goes by its index or its identity. Objects are edited
// in place.
func edit(v any, keys []string, change func(any) (any, bool)) (any, bool) {
	if len(keys) == 0 {
		return change(v)
	}
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if keys[0] != "*" && keys[0] != key {
				continue
			}
			if now, ok := edit(member, keys[1:], change); ok {
				v[key] = now
			} else {
				delete(v, key)
			}
		}
	case []any:
		left := v[:0]
		for i, element := range v {
			ok := true
			if keys[0] == "*" || keys[0] == strconv.Itoa(i) || keys[0] == identity(element) {
				element, ok = edit(element, keys[1:], change)
			}
			if ok {
				left = append(left, element)
			}
		}
		return left, true
	}
	return v, true
}

// identity is the name by which an element of a list is known: a text itself, of objects what tells them apart in the
// lists of the Kubernetes API (rules of roles go by their first resource).
func identity(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	for _, pointer := range []string{
		"/name", "/metadata/name", "/groupVersion", "/resource", "/subresource", "/version", "/resources/0",
	} {
		if name, ok := lookUp(v, pointer); ok {
			return plainText(name)
		}
	}
	return ""
}
