package fastpath

import (
	"slices"
	"strings"
)

// scanner reads JSON of the plainest kind: strings of printable ASCII without escapes, whole numbers, and no member
// twice. What it can't read is left to the library, so it needs no errors. Strings are parts of the text.
type scanner struct {
	text string
	at   int
	bad  bool
}

// fail notes that the text is not of the plainest kind.
func (s *scanner) fail() { s.bad = true }

// end reports whether all of the text could be read.
func (s *scanner) end() bool { return !s.bad && s.next() == 0 && s.at == len(s.text) }

// next returns the next byte that is not white space, without taking it; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch b := s.text[s.at]; b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}

// take takes a byte that must come next.
func (s *scanner) take(b byte) {
	if s.bad || s.next() != b {
		s.fail()
		return
	}
	s.at++
}

// null takes a null, if one comes next.
func (s *scanner) null() bool {
	if s.bad || s.next() != 'n' || !strings.HasPrefix(s.text[s.at:], "null") {
		return false
	}
	s.at += len("null")
	return true
}

func (s *scanner) mustNull() {
	if !s.null() {
		s.fail()
	}
}

// string takes a string.
func (s *scanner) string() string {
	if s.take('"'); s.bad {
		return ""
	}
	start := s.at
	for ; s.at < len(s.text); s.at++ {
		switch b := s.text[s.at]; {
		case b == '"':
			s.at++
			return s.text[start : s.at-1]
		case b == '\\' || b < ' ' || b > '~':
			s.fail()
			return ""
		}
	}
	s.fail()
	return ""
}

// must takes a string that has to be this one.
func (s *scanner) must(value string) {
	if s.string() != value {
		s.fail()
	}
}

// strings takes a list of strings, or null.
func (s *scanner) strings() []string {
	if s.null() {
		return nil
	}
	s.take('[')
	list := []string{}
	for !s.bad {
		if s.next() == ']' {
			s.at++
			break
		}
		if len(list) > 0 {
			s.take(',')
		}
		list = append(list, s.string())
	}
	return list
}

// number takes a positive number of at most 18 digits.
func (s *scanner) number() (n int64) {
	if b := s.next(); s.bad || b < '1' || b > '9' {
		s.fail()
		return 0
	}
	start := s.at
	for ; s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9'; s.at++ {
		n = 10*n + int64(s.text[s.at]-'0')
	}
	if s.at-start > 18 {
		s.fail()
	}
	return n
}

// object takes an object that has no members but these, and none twice: the library warns of others. What they hold is
// taken by the function, which is told the place of the name.
func (s *scanner) object(names []string, member func(place int)) {
	var seen places
	s.take('{')
	for first := true; !s.bad; first = false {
		if s.next() == '}' {
			s.at++
			break
		}
		if !first {
			s.take(',')
		}
		place := slices.Index(names, s.string())
		s.take(':')
		if s.bad || place < 0 || seen.has(place) {
			s.fail()
			break
		}
		seen |= 1 << place
		member(place)
	}
}

// places is a set of places in a list.
type places uint

func (p places) has(place int) bool { return p&(1<<place) != 0 }
