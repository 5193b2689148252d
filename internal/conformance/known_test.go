package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func loadKnown(t *testing.T, text string) (*Known, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return LoadKnown(file)
}

func TestKnownFailures(t *testing.T) {
	k, err := loadKnown(t, "fails:\n  RBAC is missing: [a/one]\nskips:\n  no such API: [b/, c/two]\n")
	if err != nil {
		t.Fatal(err)
	}
	failed := []Failure{{Step: "step 1 (x)", Problems: []string{"status: want 201, got 403"}}}
	for _, c := range []struct {
		name     string
		failures []Failure
		reason   string
		err      string
	}{
		{name: "a/one", failures: failed, reason: "RBAC is missing"},
		{name: "a/one", err: "take it off the list"},
		{name: "a/other"},
		{name: "a/other", failures: failed, err: "want 201, got 403"},
		{name: "b/one", failures: failed, err: "want 201, got 403"}, // skipped ones aren't judged
	} {
		reason, err := k.Judge(c.name, c.failures)
		if reason != c.reason || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %q, %v", c.name, reason, err)
		}
	}
	for name, want := range map[string]string{"b/one": "no such API", "c/two": "no such API", "c/twofold": "", "a/one": ""} {
		if got := k.Skipped(name); got != want {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestMistakesInTheListOfKnownFailures(t *testing.T) {
	names := []string{"a/one", "b/one", "b/two"}
	for text, want := range map[string]string{
		"fails: {x: [a/one]}\nskips: {y: [b/]}":       "",
		"fails: {x: [a/gone]}":                        "a/gone is listed, but there is no such scenario",
		"skips: {x: [c/]}":                            "c/ is listed, but there is no such scenario",
		"fails: {x: [a/one], y: [a/one]}":             "a/one is listed twice",
		"fails: {'': [a/one]}":                        "a/one is listed without a reason",
		"fails: {x: [b/]}":                            "b/one fails as part of a folder",
		"fails: {x: [b/one]}\nskips: {y: [b/]}":       "b/one is listed both as failing and as skipped",
		"fails: {x: [a/one]}\nskips: {y: [b/one, b]}": "b is listed, but there is no such scenario",
	} {
		k, err := loadKnown(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		err = k.Check(names)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if _, err := loadKnown(t, "fail: {}"); err == nil {
		t.Error("an unknown list was accepted")
	}
}
