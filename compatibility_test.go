package mintmark_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCompatibilityNamesItsTests looks for the test behind each line of docs/compatibility.md.
func TestCompatibilityNamesItsTests(t *testing.T) {
	text, err := os.ReadFile("docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[1]) == "difference" {
			continue
		}
		// What stands in brackets is which rows of a test.
		cells[3] = regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(cells[3], "")
		proofs := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1)
		if len(proofs) == 0 {
			t.Errorf("no test for: %s", cells[1])
		}
		dir := ""
		for _, proof := range proofs {
			if missing := proves(proof[1], &dir); missing != "" {
				t.Errorf("%s, named as the test for: %s", missing, cells[1])
			}
		}
	}
}

// proves says what is missing of a test, which is a recorded scenario or variant, or a function in the package named last.
func proves(name string, dir *string) string {
	switch {
	case strings.HasPrefix(name, "conformance/"):
		path := filepath.Join("internal/conformance/testdata", strings.TrimPrefix(name, "conformance/"))
		for _, suffix := range []string{"", ".json"} {
			if _, err := os.Stat(path + suffix); err == nil {
				return ""
			}
		}
	case strings.HasPrefix(name, "internal/"), strings.HasPrefix(name, "cmd/"), name == "mintmarktest":
		*dir = name
		if _, err := os.Stat(name); err == nil {
			return ""
		}
	default:
		files, err := filepath.Glob(filepath.Join(*dir, "*_test.go"))
		if err != nil {
			return err.Error()
		}
		for _, file := range files {
			code, err := os.ReadFile(file)
			if err == nil && strings.Contains(string(code), "func "+name+"(t *testing.T)") {
				return ""
			}
		}
	}
	return "there is no " + filepath.Join(*dir, name)
}
