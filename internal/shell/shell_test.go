package shell_test

import (
	"os/exec"
	"testing"

	"github.com/mintmark/mintmark/internal/shell"
)

// TestQuote has a shell read quoted words.
func TestQuote(t *testing.T) {
	for _, word := range []string{
		"", "/data", "/plain/path.key", "with space", "/$(touch ran)", "`id`", "it's", `a"b`, `back\slash`, "a;b&c|d", "/*", "~", "#",
		"line\nbreak", "umlaut-ü", "-n", "$HOME", "!!",
	} {
		output, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf '<%s>' "+shell.Quote(word)).Output()
		if err != nil || string(output) != "<"+word+">" {
			t.Errorf("%q is read as %q (%v), from %s", word, output, err, shell.Quote(word))
		}
	}
}
