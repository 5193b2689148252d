package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// maxTokenBytes bounds how much of standard input is read: more than any server accepts as a token, and little enough if
// a large file was named by mistake.
const maxTokenBytes = 3 << 20

func newTokenCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, review, explain, revoke, inspect and trace tokens",
		Long: `Create a token for a service account, have a token reviewed or explained by a server, take tokens
back, look into a token without a server, or follow one through audit logs.

All but inspect and trace find the server as kubectl does: in the file named with --kubeconfig, else in
$KUBECONFIG, else in admin.kubeconfig in the data directory of 'mintmark serve'.`,
		Args: subcommandArgs,
		RunE: showHelp,
	}
	cmd.AddCommand(newTokenCreateCommand(s), newTokenReviewCommand(s), newTokenExplainCommand(s), newTokenInspectCommand(s),
		newTokenTraceCommand(s), newTokenRevokeCommand(s), newTokenRevocationsCommand(s), newTokenForgeCommand(s))
	return cmd
}

// tokenArg is the cobra.PositionalArgs of commands about one token.
func tokenArg(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usageErrorf(cmd, "no token given: use - to read it from standard input")
	case len(args) > 1:
		return usageErrorf(cmd, "more than one token given: put quotes around a token with spaces in it")
	}
	return nil
}

// verdictOn is the RunE of the commands whose exit code 1 says that the token is refused: it reads the token for run, and gives
// every other failure another code.
func verdictOn(s streams, audiences *[]string, run func(cmd *cobra.Command, token string, s streams) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if slices.Contains(*audiences, "") {
			return usageErrorf(cmd, "--audience must not be empty: leave it out to ask for the server's own audiences")
		}
		token, err := readToken(cmd.Context(), cmd, s, args[0])
		if err == nil {
			err = run(cmd, token, s)
		}
		if exit := (*exitError)(nil); err == nil || errors.As(err, &exit) {
			return err
		}
		return &exitError{exitUsage, err}
	}
}

// readToken is the token that was named by arg: itself, or standard input for "-", without the
// white space around it.
func readToken(ctx context.Context, cmd *cobra.Command, s streams, arg string) (string, error) {
	if arg == "-" {
		if err := stdinTaken(cmd); err != nil {
			return "", err
		}
		read, err := readAll(ctx, s.in, maxTokenBytes)
		if err != nil {
			return "", fmt.Errorf("cannot read the token from standard input: %w", err)
		}
		arg = read
	}
	token := strings.TrimSpace(arg)
	if token == "" {
		return "", usageErrorf(cmd, "the token is empty")
	}
	if scheme, _, found := strings.Cut(token, " "); found && strings.EqualFold(scheme, "bearer") {
		return "", usageErrorf(cmd, "this is the value of an Authorization header: leave out the word in front of the token")
	}
	return token, nil
}
