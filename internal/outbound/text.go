package outbound

import (
	"fmt"
	"strings"
	"unicode/utf8"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

const (
	// maxText is how many bytes are kept of a text from outside.
	maxText = 1 << 10
	// minSecret is the length from which on a token is looked for in texts. A shorter one could be any word.
	minSecret = 16

	redacted = "[token]"
)

// Shorten returns the beginning of a text from outside that is too long to be logged or shown.
func Shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes in all)", text[:end], len(text))
}

// ShortenError returns an error whose text may quote a text from outside, with each of its reasons shortened.
func ShortenError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) <= maxText {
		return err
	}
	if several, ok := err.(utilerrors.Aggregate); ok { //nolint:errorlint // its own reasons, not those of an error inside
		var reasons []error
		for _, reason := range several.Errors() {
			reasons = append(reasons, ShortenError(reason))
		}
		return utilerrors.NewAggregate(reasons)
	}
	return shortened{text: Shorten(text), error: err}
}

// shortened is an error with a shorter text.
type shortened struct {
	error
	text string
}

// Error returns the text.
func (s shortened) Error() string { return s.text }

// Unwrap returns the error.
func (s shortened) Unwrap() error { return s.error }

// WithoutSecret returns a text without the token that it may repeat.
func WithoutSecret(text, token string) string {
	if len(token) < minSecret {
		return text
	}
	return strings.ReplaceAll(text, token, redacted)
}
