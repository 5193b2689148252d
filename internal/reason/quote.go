package reason

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxQuoted is the most that is shown of a text that a token has.
const maxQuoted = 256

// Quote returns a text of a token for people, bounded.
func Quote(text string) string {
	if len(text) <= maxQuoted {
		return strconv.Quote(text)
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strconv.Quote(text[:cut]) + "…"
}

// maxListed is the most texts of a list that are shown.
const maxListed = 20

// Quoted returns a list of texts for people, bounded.
func Quoted(list []string) string {
	var shown []string
	for _, text := range list[:min(len(list), maxListed)] {
		shown = append(shown, Quote(text))
	}
	if len(list) > maxListed {
		shown = append(shown, "…")
	}
	return "[" + strings.Join(shown, ", ") + "]"
}
