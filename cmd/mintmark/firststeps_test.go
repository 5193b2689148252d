package main

import (
	"strings"
	"testing"
)

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
