package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestCommandLine(t *testing.T) {
	secret := makeJWT(`{}`, `{}`)
	for name, test := range map[string]struct {
		args []string
		code int
		out  string
		err  string
	}{
		"nothing":                        {args: nil, out: "Usage:"},
		"a group":                        {args: []string{"token"}, out: "Available Commands:"},
		"help":                           {args: []string{"help", "token", "review"}, out: "1  the token is refused"},
		"a command that isn't":           {args: []string{"mint"}, code: 2, err: "there is no such command under 'mintmark'\nSee 'mintmark --help'"},
		"a command nearly":               {args: []string{"token", "reveiw"}, code: 2, err: "did you mean 'mintmark token review'?"},
		"a token for a command":          {args: []string{"token", secret}, code: 2, err: "there is no such command under 'mintmark token'"},
		"an argument for version":        {args: []string{"version", secret}, code: 2, err: "'mintmark version' takes no arguments"},
		"version":                        {args: []string{"version"}, out: "Kubernetes API v1.37\n"},
		"version in yaml":                {args: []string{"version", "-o", "yaml"}, out: "kubernetes: v1.37\n"},
		"completion":                     {args: []string{"completion", "bash"}, out: "# bash completion"},
		"completion's help":              {args: []string{"completion"}, out: "Generate the autocompletion script"},
		"completion of a command":        {args: []string{"__complete", "token", "i"}, out: "inspect\tShow"},
		"completion of a flag":           {args: []string{"__complete", "token", "create", "-o", ""}, out: "json\nyaml\n"},
		"completion of a kind":           {args: []string{"__complete", "token", "create", "--bound-object-kind", ""}, out: "Node\nPod\nSecret\n"},
		"completion of no token, please": {args: []string{"__complete", "token", "review", ""}, out: ":4\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := mintmark(t, "", test.args...)
			if len(test.args) > 0 && test.args[0] == "__complete" {
				got.err = "" // cobra explains its directive there
			}
			got.want(t, test.code, test.out, test.err)
			got.keeps(t, secret)
		})
	}
}

func TestVersion(t *testing.T) {
	got := mintmark(t, "", "version", "-o", "json")
	var v buildVersion
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v.Version == "" || v.GoVersion == "" {
		t.Errorf("%v, printed\n%s", err, got.out)
	}
	v = versionFrom(&debug.BuildInfo{
		Main: debug.Module{Version: "v0.1.0"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef"},
			{Key: "vcs.time", Value: "2026-08-01T00:00:00Z"},
			{Key: "vcs.modified", Value: "true"},
		},
	})
	var text bytes.Buffer
	if err := v.write(&text); err != nil {
		t.Fatal(err)
	}
	if want := "mintmark v0.1.0 (commit 0123456789ab of 2026-08-01T00:00:00Z, with changes)\nKubernetes API v1.37\n"; !strings.HasPrefix(text.String(), want) {
		t.Errorf("printed\n%swant\n%s", &text, want)
	}
	if v := versionFrom(nil); v.Version != "(devel)" {
		t.Errorf("without build information the version is %q", v.Version)
	}
}

// Every flag says in its help what it is for, and every flag with a value that is not a file has a completion of its own, so
// that a shell doesn't offer files for it.
func TestFlags(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if flag.Usage == "" {
				t.Errorf("%s --%s has no help", cmd.CommandPath(), flag.Name)
			}
			_, completed := cmd.GetFlagCompletionFunc(flag.Name)
			_, file := flag.Annotations[cobra.BashCompFilenameExt]
			_, directory := flag.Annotations[cobra.BashCompSubdirsInDir]
			if !completed && !file && !directory && flag.Value.Type() != "bool" && flag.Name != "kubeconfig" {
				t.Errorf("%s --%s has no completion", cmd.CommandPath(), flag.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newTokenCommand(streams{}))
	visit(newKeysCommand(streams{}))
	visit(newNodeCommand(streams{}))
	visit(newWorkloadCommand(streams{}))
	visit(newAgentCommand())
	visit(newVersionCommand(streams{}))
}

// A person at a terminal who gives up must not be waited for.
func TestInterruptedInput(t *testing.T) {
	never, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"token", "inspect", "-"}, streams{in: never, out: &out, err: &errs})
	result{code, out.String(), errs.String()}.want(t, 1, "", "cannot read the token from standard input: interrupted")
}
