package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// units are the units of contrib/systemd, by name.
func units(t *testing.T) map[string]string {
	t.Helper()
	dir := filepath.Join("..", "..", "contrib", "systemd")
	files, err := filepath.Glob(filepath.Join(dir, "*.service"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no units: %v", err)
	}
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(file)] = string(text)
	}
	return texts
}

// TestUnits: systemd accepts the units of contrib/systemd. They start programs of this machine here.
func TestUnits(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for name, text := range units(t) {
		file := filepath.Join(dir, name)
		writeFile(t, file, strings.NewReplacer("/usr/bin/mintmark", program, "/usr/bin/web", program).Replace(text))
		args = append(args, file)
	}
	said, err := exec.CommandContext(t.Context(), verify, args...).CombinedOutput()
	if err != nil || len(said) > 0 {
		t.Errorf("%v:\n%s", err, said)
	}
}

// TestUnitFlags: the flags in the units exist.
func TestUnitFlags(t *testing.T) {
	for name, text := range units(t) {
		for line := range strings.Lines(text) {
			command, found := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#")), "ExecStart=/usr/bin/mintmark ")
			if !found {
				continue
			}
			cmd, args, err := newRootCommand(streams{}).Find(strings.Fields(command))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			err = cmd.Flags().ParseAll(args, func(*pflag.Flag, string) error { return nil })
			if err != nil || cmd.Name() == "mintmark" {
				t.Errorf("%s: %s: %v", name, command, err)
			}
		}
	}
}
