package main

import (
	"os/exec"
	"strings"
	"testing"
)

// A shell reads a quoted word as the same word.
func TestShellQuote(t *testing.T) {
	for _, word := range []string{"/data", "/with space", "/$(touch ran)", "/`touch ran`", "/it's", `/a"b`, "/a\\b", "/a;b&c|d", "/*", "~", "#", "", "/\n", "/umlaut-ü", "-n", "/$HOME", "/!!"} {
		out, err := exec.Command("sh", "-c", "printf '<%s>' "+shellQuote(word)).Output()
		if err != nil || string(out) != "<"+word+">" {
			t.Errorf("%q is %s to a shell (%v), from %s", word, out, err, shellQuote(word))
		}
	}
}

// The first steps work when they are copied, wherever the data directory is.
func TestFirstSteps(t *testing.T) {
	for path, want := range map[string][]string{
		"/data/admin.kubeconfig":         {"  export KUBECONFIG=/data/admin.kubeconfig\n", "  kubectl create token default "},
		"/with space/admin.kubeconfig":   {"  export KUBECONFIG='/with space/admin.kubeconfig'\n"},
		"/$(touch ran)/admin.kubeconfig": {"  export KUBECONFIG='/$(touch ran)/admin.kubeconfig'\n"},
		"/10:30/it's mine/the.kubeconfig": {
			`  kubectl --kubeconfig '/10:30/it'\''s mine/the.kubeconfig' create token default `,
			` | mintmark token review --kubeconfig '/10:30/it'\''s mine/the.kubeconfig' - `,
		},
	} {
		got := firstSteps(path)
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("%s: printed\n%swant contain\n%s", path, got, text)
			}
		}
		if strings.Contains(path, ":") == strings.Contains(got, "KUBECONFIG=") {
			t.Errorf("%s: printed\n%s", path, got)
		}
	}
}
