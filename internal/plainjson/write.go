package plainjson

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Writer appends a text to itself, byte for byte as encoding/json writes it.
type Writer []byte

// Raw writes a piece of JSON.
func (w *Writer) Raw(text string) { *w = append(*w, text...) }

// String writes a string. Characters with a meaning in HTML are escaped, as encoding/json does.
func (w *Writer) String(value string) {
	i := 0
	for i+wordSize <= len(value) && !needsEscape(word(value, i)) {
		i += wordSize
	}
	for ; i < len(value); i++ {
		if !unescaped[value[i]] {
			quoted, _ := json.Marshal(value) // there is no string that fails
			*w = append(*w, quoted...)
			return
		}
	}
	*w = append(*w, '"')
	*w = append(*w, value...)
	*w = append(*w, '"')
}

// unescaped are the bytes that stand for themselves in a string.
var unescaped = func() (plain [256]bool) {
	for b := byte(' '); b <= '~'; b++ {
		plain[b] = !strings.ContainsRune("\"\\<>&", rune(b))
	}
	return plain
}()

// Int writes a number.
func (w *Writer) Int(n int64) { *w = strconv.AppendInt(*w, n, 10) }

// Name begins a member of an object, with a comma if it isn't the first. Names need no escapes.
func (w *Writer) Name(name string) {
	if last := (*w)[len(*w)-1]; last != '{' {
		*w = append(*w, ',')
	}
	*w = append(*w, '"')
	*w = append(*w, name...)
	*w = append(*w, '"', ':')
}

// Member writes a member that is a string, unless it is empty.
func (w *Writer) Member(name, value string) {
	if value == "" {
		return
	}
	w.Name(name)
	w.String(value)
}

// List writes a list of strings.
func (w *Writer) List(values []string) {
	*w = append(*w, '[')
	for i, value := range values {
		if i > 0 {
			*w = append(*w, ',')
		}
		w.String(value)
	}
	*w = append(*w, ']')
}

// Members writes a member that is a list of strings, unless it is empty.
func (w *Writer) Members(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.Name(name)
	w.List(values)
}
