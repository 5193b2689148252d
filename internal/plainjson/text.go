package plainjson

import "strings"

// maxDepth is how deep values may be nested that are skipped.
const maxDepth = 8

// Text returns the text of one member of an object that may have any others, or nothing if there is no such member. It reports
// false for an object that it can't read, or in which a general decoder might take another member for this one: the name stands
// twice, or in other letters.
func Text(object, name string) (value string, ok bool) {
	r := NewReader(object)
	found := false
	r.members(func(other string) {
		switch {
		case other == name && !found:
			value, found = r.String(), true
		case strings.EqualFold(other, name):
			r.Fail()
		default:
			r.skip(maxDepth)
		}
	})
	return value, r.Done()
}

// members takes an object. The function takes the value of a member.
func (r *Reader) members(member func(name string)) {
	r.take('{')
	for first := true; !r.bad; first = false {
		if r.next() == '}' {
			r.at++
			break
		}
		if !first {
			r.take(',')
		}
		name := r.String()
		r.take(':')
		if !r.bad {
			member(name)
		}
	}
}

// skip takes a value, whatever it is.
func (r *Reader) skip(depth int) {
	if depth == 0 {
		r.Fail()
		return
	}
	switch r.next() {
	case '"':
		_ = r.String()
	case '{':
		r.members(func(string) { r.skip(depth - 1) })
	case '[':
		r.Array(func() { r.skip(depth - 1) })
	case 't':
		r.literal("true")
	case 'f':
		r.literal("false")
	case 'n':
		r.literal("null")
	case '0':
		r.at++
	default:
		r.Number()
	}
}

func (r *Reader) literal(text string) {
	if !strings.HasPrefix(r.text[r.at:], text) {
		r.Fail()
		return
	}
	r.at += len(text)
}
