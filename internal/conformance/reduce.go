package conformance

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// normalise turns an answer into the form that is recorded and compared.
func (s *session) normalise(st *Step, a *answer) *Want {
	w := &Want{Status: a.status}
	if st.Match == matchStatus {
		return w
	}
	n := s.norm
	if st.Match == matchContains {
		// What the record leaves out must not move the numbers.
		n = n.clone()
		n.plain = true
	}
	w.ContentType = a.header.Get("Content-Type")
	w.Magic = magicOf(a.raw)
	for _, text := range a.header.Values("Warning") {
		w.Warnings = append(w.Warnings, n.text(text))
	}
	for _, name := range st.Compare {
		if name == layout {
			w.Layout = "compact"
			if strings.Contains(string(a.raw), "\n  ") {
				w.Layout = "indented"
			}
			continue
		}
		if w.Headers == nil {
			w.Headers = map[string]string{}
		}
		w.Headers[name] = n.text(strings.Join(a.header.Values(name), ", "))
	}
	body := st.reduce(a.body)
	if text, ok := body.(string); ok {
		w.Text = n.text(text)
	} else {
		w.Body = n.value(body, "")
	}
	for _, event := range a.events {
		w.Events = append(w.Events, n.value(st.reduce(event), ""))
	}
	return w
}

// reduce copies a body down to what the step compares.
func (st *Step) reduce(body any) any {
	body = prune(body, "")
	for _, pointer := range st.Ignore {
		if pointer != "" {
			body, _ = edit(body, pointerKeys(pointer), func(any) (any, bool) { return nil, false })
		}
	}
	// The deepest first: elements are known by what is kept of them.
	for _, pointer := range slices.Backward(slices.Sorted(maps.Keys(st.Keep))) {
		body, _ = edit(body, pointerKeys(pointer), func(v any) (any, bool) { return keep(v, st.Keep[pointer]), true })
	}
	for _, pointer := range st.Unordered {
		body, _ = edit(body, pointerKeys(pointer), func(v any) (any, bool) { return sorted(v), true })
	}
	for pointer, words := range st.UpTo {
		body, _ = edit(body, pointerKeys(pointer), func(v any) (any, bool) { return cutOff(v, words), true })
	}
	return body
}

// prune copies a value without the fields that don't concern a token service. The kind is that of the list around an object that
// has none.
func prune(v any, kind string) any {
	switch v := v.(type) {
	case map[string]any:
		if own, ok := v["kind"].(string); ok {
			kind = own
		}
		out := map[string]any{}
		for key, value := range v {
			switch key {
			case "managedFields", "storageVersionHash":
			case "items":
				out[key] = prune(value, strings.TrimSuffix(kind, "List"))
			default:
				out[key] = prune(value, "")
			}
		}
		pruneRecord(out, kind)
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = prune(value, kind)
		}
		return out
	}
	return v
}

// pruneRecord keeps the fields of a pod or node that concern tokens.
func pruneRecord(object map[string]any, kind string) {
	metadata, ok := object["metadata"].(map[string]any)
	if !ok || (kind != "Pod" && kind != "Node") {
		return
	}
	delete(metadata, "generation")
	parts := map[string][]string{"spec": nil, "status": nil}
	if kind == "Pod" {
		parts = map[string][]string{"spec": {"serviceAccountName", "nodeName"}, "status": {"phase"}}
	}
	for part, members := range parts {
		if inner, ok := object[part].(map[string]any); ok {
			keep(inner, members)
			if len(inner) == 0 {
				delete(object, part)
			}
		}
	}
}

// keep leaves of an object, list or text only the named members, elements or lines. Objects are changed in place.
func keep(v any, members []string) any {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(key string, _ any) bool { return !slices.Contains(members, key) })
	case []any:
		return slices.DeleteFunc(v, func(element any) bool { return !slices.Contains(members, identity(element)) })
	case string:
		lines := slices.DeleteFunc(strings.Split(v, "\n"), func(line string) bool { return !slices.Contains(members, line) })
		return strings.Join(lines, "\n")
	}
	return v
}

// sorted sorts a list of texts whose order is random.
func sorted(v any) any {
	if list, ok := v.([]any); ok {
		slices.SortFunc(list, func(a, b any) int { return cmp.Compare(plainText(a), plainText(b)) })
	}
	return v
}

// cutOff cuts a text off after some words.
func cutOff(v any, words string) any {
	text, ok := v.(string)
	if before, _, found := strings.Cut(text, words); ok && found {
		return before + words + "…"
	}
	return v
}
