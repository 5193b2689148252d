package mintmark_test

import (
	"os"
	"regexp"
	"testing"
)

// TestKubectlSharesVersions compares the modules that Mintmark and the kubectl of its tests both import. With the same versions they
// are compiled once for both, which is most of kubectl.
func TestKubectlSharesVersions(t *testing.T) {
	own, shared := required(t, "go.mod"), 0
	for path, version := range required(t, "tools/kubectl/go.mod") {
		switch {
		case own[path] == "":
		case own[path] != version:
			t.Errorf("kubectl is built with %s %s. Please run: go -C tools/kubectl get %s@%s && go -C tools/kubectl mod tidy", path, version, path, own[path])
		default:
			shared++
		}
	}
	if shared < 50 {
		t.Errorf("%d shared modules, want more", shared)
	}
}

var requirement = regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+/\S+) (v\S+)`)

// required returns the versions in a go.mod, which lists every module that its packages are from.
func required(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, m := range requirement.FindAllSubmatch(text, -1) {
		versions[string(m[1])] = string(m[2])
	}
	return versions
}
