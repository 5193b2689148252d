package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Variant is a server with other flags than the ordinary one, and the scenarios for it.
type Variant struct {
	Name      string
	Folder    string // with the files that flags and scenarios name: Target.Files
	Scenarios []*Scenario

	flags []string
}

// LoadVariants reads the folders in dir, each a variant: its scenarios, flags, peers and files.
func LoadVariants(dir string) ([]*Variant, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var variants []*Variant
	for _, entry := range entries {
		// Servers may read their files from another working directory.
		folder, err := filepath.Abs(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		v := &Variant{Name: entry.Name(), Folder: folder}
		text, err := os.ReadFile(filepath.Join(folder, "flags"))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			v.flags = append(v.flags, v.flag(strings.TrimSpace(line)))
		}
		if v.Scenarios, err = Load(filepath.Join(folder, "scenarios")); err != nil {
			return nil, err
		}
		variants = append(variants, v)
	}
	if len(variants) == 0 {
		return nil, errors.New("no variants in " + dir)
	}
	return variants, nil
}

// flag makes a value that names a file of the folder the path of that file.
func (v *Variant) flag(line string) string {
	name, value, _ := strings.Cut(line, "=")
	path := filepath.Join(v.Folder, value)
	if info, err := os.Stat(path); value != "" && err == nil && info.Mode().IsRegular() {
		return name + "=" + path
	}
	return line
}

// Args returns the flags to start the variant's server with: those of the ordinary one, written --name=value, but for
// those whose name the variant gives another value.
func (v *Variant) Args(base []string) []string {
	name := func(flag string) string {
		name, _, _ := strings.Cut(flag, "=")
		return name
	}
	args := slices.DeleteFunc(slices.Clone(base), func(flag string) bool {
		return slices.ContainsFunc(v.flags, func(own string) bool { return name(own) == name(flag) })
	})
	return append(args, v.flags...)
}

// StartPeers starts the servers that the variant's server talks to, on the addresses that its configuration names. The
// error wraps syscall.EADDRINUSE when one of these is taken.
func (v *Variant) StartPeers() (stop func(), err error) { return startPeers(v.Folder) }
