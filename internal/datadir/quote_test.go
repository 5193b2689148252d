//go:build unix

package datadir_test

import (
	"os/exec"
	"testing"

	"github.com/mintmark/mintmark/internal/datadir"
)

func TestQuote(t *testing.T) {
	for _, word := range []string{"", "/plain/path.key", "with space", "$(id)", "`id`", "it's", "a;b", "-dash", "line\nbreak", `back\slash`} {
		output, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf %s "+datadir.Quote(word)).Output()
		if err != nil || string(output) != word {
			t.Errorf("%q is read as %q, error %v", word, output, err)
		}
	}
}
