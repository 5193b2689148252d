package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pageBlock returns the code of docs/testing.md whose first line names a file.
func pageBlock(t *testing.T, file string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```[a-z]+\n(?://|#) " + regexp.QuoteMeta(file) + "\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatalf("docs/testing.md has no block for %s", file)
	}
	return string(block[1])
}

// TestTestingPage runs the examples of docs/testing.md. TestMain has put the program into the path.
func TestTestingPage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		file    string
		command []string
	}{
		{"test_my_proxy.py", []string{"python3", "-m", "unittest", "test_my_proxy.py"}},
		{"my-proxy.test.mjs", []string{"node", "--test", "my-proxy.test.mjs"}},
	} {
		t.Run(test.command[0], func(t *testing.T) {
			block, dir := pageBlock(t, test.file), t.TempDir()
			if _, err := exec.LookPath(test.command[0]); err != nil {
				t.Skipf("there is no %s on this machine", test.command[0])
			}
			if err := os.WriteFile(filepath.Join(dir, test.file), []byte(block), 0o600); err != nil {
				t.Fatal(err)
			}
			run := exec.CommandContext(t.Context(), test.command[0], test.command[1:]...)
			run.Dir = dir
			if said, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, said)
			}
		})
	}
}

// TestTestingPageGo compares the example for Go with the file that runs as a test of mintmarktest.
func TestTestingPageGo(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile(filepath.Join("..", "..", "mintmarktest", "my_proxy_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(string(code), "package mintmarktest_test", "package myproxy_test", 1)
	if got := pageBlock(t, "my_proxy_test.go"); got != want {
		t.Error("docs/testing.md and mintmarktest/my_proxy_test.go differ")
	}
}
