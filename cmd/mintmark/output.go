package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// outputFormat is the -o flag: empty for the form meant for people, else one of allowed.
type outputFormat struct {
	allowed []string
	value   string
}

func (f *outputFormat) String() string { return f.value }
func (f *outputFormat) Type() string   { return strings.Join(f.allowed, "|") }

func (f *outputFormat) Set(value string) error {
	if !slices.Contains(f.allowed, value) {
		return fmt.Errorf("must be %s", strings.Join(f.allowed, " or "))
	}
	f.value = value
	return nil
}

func (f *outputFormat) addTo(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "Print as "+strings.Join(f.allowed, " or ")+" instead of text")
	completeFlag(cmd, "output", f.allowed...)
}

// print writes object in the format asked for, with a final newline.
func (f *outputFormat) print(w io.Writer, object any) error {
	var encoded []byte
	var err error
	if f.value == "yaml" {
		encoded, err = yaml.Marshal(object)
	} else if encoded, err = json.MarshalIndent(object, "", "  "); err == nil {
		encoded = append(encoded, '\n')
	}
	if err != nil {
		return err
	}
	_, err = w.Write(encoded)
	return err
}

// listing is a command that lists objects of mintmark.io: as a table, whole as JSON or YAML, or by name.
type listing[L runtime.Object] struct {
	kind  string // of an item
	fetch func(ctx context.Context, client *keysClient) (L, error)
	table func(client *keysClient, list L) error
}

// command completes a command with flags and the call.
func (l listing[L]) command(cmd *cobra.Command, s streams) *cobra.Command {
	connect, output := &connectionFlags{}, &outputFormat{allowed: []string{"table", "json", "yaml", "name"}}
	cmd.Args, cmd.ValidArgsFunction = noArgs, cobra.NoFileCompletions
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := connect.openOwn(cmd, s.err)
		if err != nil {
			return err
		}
		list, err := l.fetch(cmd.Context(), client)
		if err != nil {
			return err
		}
		if output.value == "" || output.value == "table" {
			return l.table(client, list)
		}
		if output.value == "name" {
			return meta.EachListItem(list, func(item runtime.Object) error {
				described, err := meta.Accessor(item)
				if err == nil {
					_, err = fmt.Fprintln(s.out, objectName(l.kind, described.GetName()))
				}
				return err
			})
		}
		list.GetObjectKind().SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(l.kind + "List"))
		if err := meta.EachListItem(list, func(item runtime.Object) error { return clean(item, l.kind) }); err != nil {
			return err
		}
		return output.print(s.out, list)
	}
	output.addTo(cmd)
	connect.addTo(cmd)
	return cmd
}

// objectName names an object of mintmark.io as kubectl does with -o name.
func objectName(kind, name string) string {
	return strings.ToLower(kind) + "." + v1alpha1.GroupName + "/" + name
}

// clean has an object of mintmark.io printed as kubectl prints it.
func clean(object runtime.Object, kind string) error {
	object.GetObjectKind().SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind))
	described, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	described.SetManagedFields(nil)
	return nil
}

// completeFlag makes shell completion offer values, and no files, for a flag.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	// It fails only for a flag that isn't there or is registered twice: the tests ask for every
	// completion, so that shows.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// noArgs refuses arguments without repeating them; see subcommandArgs.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf(cmd, "'%s' takes no arguments", cmd.CommandPath())
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// plain makes text from a token or a server safe to show: control characters in it could move the cursor or turn the
// direction of the text.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// indentJSON lays out a JSON value as it was written, order, numbers and repeated members
// included, with whatever plain would replace escaped. It is still the same JSON, since such
// characters can stand in strings only.
func indentJSON(value []byte) ([]byte, error) {
	var indented bytes.Buffer
	if err := json.Indent(&indented, value, "", "  "); err != nil {
		return nil, err
	}
	var safe bytes.Buffer
	for _, r := range indented.String() {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			safe.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&safe, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&safe, `\u%04x`, r)
		}
	}
	return safe.Bytes(), nil
}
