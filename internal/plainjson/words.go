package plainjson

// Strings are searched eight bytes at a time, as a number. A test of a number adds and subtracts so that the high bit of each
// wanted byte is set. A carry may set further bits, but only if there is a wanted byte.
const (
	each     = 0x0101010101010101
	highBits = 0x80 * each
	wordSize = 8
)

// word is eight bytes of a text.
func word(text string, at int) uint64 {
	t := text[at : at+wordSize]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
		uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}

// endsString reports whether there is a byte in a word that ends a string, or has no place in a plain one.
func endsString(w uint64) bool {
	return (notPrintable(w)|is(w, '"')|is(w, '\\'))&highBits != 0
}

// needsEscape reports whether there is a byte in a word that is not written as itself.
func needsEscape(w uint64) bool {
	// Each of the first two pairs differs in one bit, which is set in the second of it.
	return (notPrintable(w)|is(w|each*('"'^'&'), '&')|is(w|each*('<'^'>'), '>')|is(w, '\\'))&highBits != 0
}

// notPrintable finds bytes that aren't printable ASCII: from 0x80 on, below the space, and DEL.
func notPrintable(w uint64) uint64 { return w | (w - each*' ') | (w + each) }

// is finds a byte. Where none has its high bit set, only zero has it after one was subtracted.
func is(w uint64, b byte) uint64 { return (w ^ each*uint64(b)) - each }
