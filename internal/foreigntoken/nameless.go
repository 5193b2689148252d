package foreigntoken

import (
	"strings"
	"unicode"
)

// Nameless reports whether a user name has no visible character.
func Nameless(name string) bool {
	// Names that begin with an ASCII letter, which is almost all of them, need no further look.
	if name != "" && name[0] > ' ' && name[0] < 0x7f {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsPrint(r) && r != ' ' })
}
