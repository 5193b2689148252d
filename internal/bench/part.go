package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// The parts of the document that have figures of another command.
const (
	sizePart, etcdPart, revocationsPart      = "size", "size-etcd", "size-revocations"
	propagationPart, propagationInMemoryPart = "propagation", "propagation-in-memory"
	issuersPart                              = "issuers"
	overloadPart                             = "overload"
)

// parts returns the parts of a document by their names. Each stands between two comments.
func parts(document string) map[string]string {
	found := map[string]string{}
	for _, name := range []string{sizePart, etcdPart, revocationsPart, propagationPart, propagationInMemoryPart, issuersPart, overloadPart} {
		begin, end := limits(name)
		if _, rest, ok := strings.Cut(document, begin); ok {
			if text, _, ok := strings.Cut(rest, end); ok {
				found[name] = text
			}
		}
	}
	return found
}

func limits(name string) (begin, end string) {
	return "<!-- bench " + name + " -->\n", "<!-- end of " + name + " -->\n"
}

// part returns a part with its limits.
func part(name, text string) string {
	begin, end := limits(name)
	return begin + text + end
}

// figures are what a command writes into its part of the document.
type figures struct {
	part, table string
	// busy is which share of the time of all processors was used, by whatever program.
	busy float64
}

// write puts the figures, of that program, into their place in a document.
func (f *figures) write(file string, made program, arguments []string) error {
	before, err := os.ReadFile(file) //nolint:gosec // G304: a flag names it
	if err != nil {
		return err
	}
	old, ok := parts(string(before))[f.part]
	if !ok {
		return fmt.Errorf("--write: %s has no place for these figures; make bench writes one", file)
	}
	r := &report{Program: made, Date: time.Now().UTC()}
	text := fmt.Sprintf("\n%s\n`bench %s`, %s, on %s. All programs together used %.0f %% of the processors meanwhile.\n\n",
		f.table, strings.Join(withoutPaths(arguments), " "), r.where(), describe(), f.busy*100)
	after := strings.Replace(string(before), part(f.part, old), part(f.part, text), 1)
	return os.WriteFile(file, []byte(after), 0o644) //nolint:gosec // G306: it is there to be read
}

// withoutPaths returns arguments without the flags that name files of this machine.
func withoutPaths(arguments []string) (left []string) {
	for i := 0; i < len(arguments); i++ {
		switch name, _, hasValue := strings.Cut(arguments[i], "="); {
		case name != "--binary" && name != "--write":
			left = append(left, arguments[i])
		case !hasValue:
			i++
		}
	}
	return left
}

// utilization returns a function that tells which share of the time of all processors was used since.
func utilization() (since func() (float64, error), err error) {
	all, busy, err := machineTime()
	return func() (float64, error) {
		allNow, busyNow, err := machineTime()
		return float64(busyNow-busy) / float64(max(allNow-all, 1)), err
	}, err
}

// present prints the figures of a command, and writes them into a document if one is named.
func (f *figures) present(out io.Writer, write, binary string, arguments []string) error {
	if _, err := io.WriteString(out, f.table); err != nil || write == "" {
		return err
	}
	made, err := readProgram(binary)
	if err != nil {
		return err
	}
	return f.write(write, made, arguments)
}
