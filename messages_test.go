package mintmark_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMessagesInOperations: each message that docs/operations.md says what to do about is one that the program has. "…" stands for what
// differs from case to case.
func TestMessagesInOperations(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "\n## It says X, do Y\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var sources strings.Builder
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := os.ReadFile(name)
			sources.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	digits := regexp.MustCompile(`\d+`)
	messages := 0
	for line := range strings.Lines(section) {
		message, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "`")
		if !ok || !strings.HasPrefix(line, "| `") {
			continue
		}
		messages++
		for part := range strings.SplitSeq(message, "…") {
			part = strings.Trim(part, " ,(")
			pattern := digits.ReplaceAllString(regexp.QuoteMeta(part), `(\d+|%d)`)
			if !regexp.MustCompile(pattern).MatchString(sources.String()) {
				t.Errorf("%q: no message has %q in it", message, part)
			}
		}
	}
	if messages < 15 {
		t.Errorf("%d messages were found", messages)
	}
}
