package mintmark_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mintmark/mintmark/internal/reason"
)

// TestReasonsDocument compares the reason codes in docs/explain.md with those of the code.
func TestReasonsDocument(t *testing.T) {
	text, err := os.ReadFile("docs/explain.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, code := range reason.All() {
		want = append(want, "| `"+code.String()+"` | "+code.Meaning()+" |")
	}
	got = append(got, regexp.MustCompile("(?m)^\\| `[A-Z].*$").FindAllString(string(text), -1)...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/explain.md (-code +document):\n%s", diff)
	}
}
