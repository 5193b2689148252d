package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// streams are the terminal as a command sees it: answers go to out, messages to the person go to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Exit codes. Only "token review" and "token explain" give exitRefused a meaning of its own, and then
// keep every other failure apart from it; elsewhere 1 is any failure, as it is with kubectl.
const (
	exitOK      = 0
	exitFailed  = 1
	exitRefused = 1
	exitUsage   = 2
)

// exitError carries an exit code with an error. A nil err means that the command has already
// said all there is to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageErrorf is an error in how cmd was called: it ends with where to read on.
func usageErrorf(cmd *cobra.Command, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &exitError{exitUsage, fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath())}
}

// run carries out one command line, without the program's name, and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRootCommand(s)
	// cobra takes nil to mean the arguments of the process.
	root.SetArgs(append([]string{}, args...))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintf(s.err, "error: %s\n", plain(text)) // a closed terminal can't be told
	}
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		return exit.code
	}
	return exitFailed
}

func newRootCommand(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "mintmark",
		Short: "The Kubernetes authentication API without the cluster",
		Long: `Mintmark issues bound, audience-scoped, expiring service account tokens (TokenRequest),
reviews tokens (TokenReview) and publishes the keys that others verify them with (OIDC
discovery): the Kubernetes authentication API in one process, without the cluster.`,
		Example: `  # Start a server; its data, keys and kubeconfig are kept in ./mintmark-data
  mintmark serve

  # Get a token for the service account "default", and have it reviewed
  mintmark token create default | mintmark token review -`,
		Args:          subcommandArgs,
		RunE:          showHelp,
		SilenceErrors: true, // run prints them, once
		SilenceUsage:  true, // an error is a sentence, not a page
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newServeCommand(s), newTokenCommand(s), newNodeCommand(s), newAgentCommand(), newWorkloadCommand(s), newKeysCommand(s), newIssuerCommand(s),
		newKubeconfigCommand(s), newSnapshotCommand(s), newConformanceCommand(s), newHealthCommand(s), newClockCommand(s), newVersionCommand(s))
	return root
}

// showHelp is what a command that only groups others does when it is called by itself.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// subcommandArgs refuses an argument where a subcommand was expected. cobra's own check would
// repeat the argument, and behind "mintmark token" that is likely to be a token.
func subcommandArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // cobra's default, which it sets in its own check only
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usageErrorf(cmd, "there is no such command; did you mean '%s %s'?", cmd.CommandPath(), near[0])
	}
	return usageErrorf(cmd, "there is no such command under '%s'", cmd.CommandPath())
}

// flagError is what cobra calls with an error about flags.
func flagError(cmd *cobra.Command, err error) error {
	// pflag repeats all of an argument that begins with one dash: a token may begin with one.
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "" {
		return usageErrorf(cmd, "unknown flag -%s", unknown.GetSpecifiedName())
	}
	return usageErrorf(cmd, "%w", err)
}
