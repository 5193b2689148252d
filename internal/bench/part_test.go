package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestParts: the figures of other commands take their places in the document, and stay when it is written anew.
func TestParts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	r := example()
	made := r.Program
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{sizePart, propagationPart, sizePart} {
		f := figures{part: name, table: "| figures of " + name + " |\n", busy: 0.42}
		if err := f.write(file, made, []string{name, "--binary", "/a/b", "--x", "--write=/c"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| figures of size |", "| figures of propagation |", "`bench size --x`", r.Table()} {
		if strings.Count(string(got), want) != 1 {
			t.Errorf("%q is there %d times", want, strings.Count(string(got), want))
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := figures{part: sizePart}
	checkError(t, f.write(file, made, nil), "has no place")
}
