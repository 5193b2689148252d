// Package plainjson reads and writes plain JSON (RFC 8259), as clients send it and tokens hold it, in a small part of the time
// of a general decoder. It reads a text as a general decoder does, or not at all.
package plainjson

import (
	"slices"
	"strings"
)

// Reader reads a text: strings of printable ASCII without escapes, whole numbers, objects without unknown members and
// without any twice. It reports no errors: a text that it can't read goes to a general decoder. After the first such part its
// results mean nothing. Strings are parts of the text.
type Reader struct {
	text string
	at   int
	bad  bool
}

// NewReader returns a reader of a text.
func NewReader(text string) Reader { return Reader{text: text} }

// Fail notes that the text is not plain.
func (r *Reader) Fail() { r.bad = true }

// Done reports whether all of the text could be read.
func (r *Reader) Done() bool { return !r.bad && r.next() == 0 && r.at == len(r.text) }

// next returns the next byte that is not white space, without taking it; 0 at the end.
func (r *Reader) next() byte {
	for ; r.at < len(r.text); r.at++ {
		switch b := r.text[r.at]; b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}

// take takes a byte that must come next.
func (r *Reader) take(b byte) {
	if r.bad || r.next() != b {
		r.Fail()
		return
	}
	r.at++
}

// Null takes a null, if one comes next.
func (r *Reader) Null() bool {
	if r.bad || r.next() != 'n' || !strings.HasPrefix(r.text[r.at:], "null") {
		return false
	}
	r.at += len("null")
	return true
}

// MustNull takes a null that has to come next.
func (r *Reader) MustNull() {
	if !r.Null() {
		r.Fail()
	}
}

// String takes a string.
func (r *Reader) String() string {
	if r.take('"'); r.bad {
		return ""
	}
	start := r.at
	for r.at+wordSize <= len(r.text) && !endsString(word(r.text, r.at)) {
		r.at += wordSize
	}
	for ; r.at < len(r.text); r.at++ {
		switch b := r.text[r.at]; {
		case b == '"':
			value := r.text[start:r.at]
			r.at++
			return value
		case b-' ' > '~'-' ' || b == '\\':
			r.Fail()
			return ""
		}
	}
	r.Fail()
	return ""
}

// Must takes a string that has to be this one.
func (r *Reader) Must(value string) {
	if r.String() != value {
		r.Fail()
	}
}

// Strings takes a list of strings.
func (r *Reader) Strings() []string {
	r.take('[')
	list := []string{}
	for !r.bad {
		if r.next() == ']' {
			r.at++
			break
		}
		if len(list) > 0 {
			r.take(',')
		}
		list = append(list, r.String())
	}
	return list
}

// Array takes a list. The function takes the value of an element.
func (r *Reader) Array(element func()) {
	r.take('[')
	for first := true; !r.bad; first = false {
		if r.next() == ']' {
			r.at++
			break
		}
		if !first {
			r.take(',')
		}
		element()
	}
}

const maxDigits = 15

// Number takes a positive number of at most 15 digits, which floating point holds exactly.
func (r *Reader) Number() (n int64) {
	if b := r.next(); r.bad || b < '1' || b > '9' {
		r.Fail()
		return 0
	}
	start := r.at
	for ; r.at < len(r.text) && '0' <= r.text[r.at] && r.text[r.at] <= '9'; r.at++ {
		n = 10*n + int64(r.text[r.at]-'0')
	}
	if r.at-start > maxDigits {
		r.Fail()
	}
	return n
}

// Object takes an object that has no other members, since the library warns of those, and none twice. The function takes the
// value of a member, and gets the place of its name. Members in the order of names are read fastest.
func (r *Reader) Object(names []string, member func(place int)) {
	var seen uint
	last := -1
	r.take('{')
	for first := true; !r.bad; first = false {
		if r.next() == '}' {
			r.at++
			break
		}
		if !first {
			r.take(',')
		}
		place := indexAfter(names, last, r.String())
		r.take(':')
		if r.bad || place < 0 || seen&(1<<place) != 0 {
			r.Fail()
			break
		}
		seen |= 1 << place
		last = place
		member(place)
	}
}

// indexAfter returns the place of a name, or -1. It looks behind the last one first.
func indexAfter(names []string, last int, name string) int {
	for place := last + 1; place < len(names); place++ {
		if names[place] == name {
			return place
		}
	}
	return slices.Index(names, name)
}
