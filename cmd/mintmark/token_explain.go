package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// exitUndecided is the exit code of "token explain" where there is no verdict.
const exitUndecided = 3

type tokenExplain struct {
	connectionFlags
	offlineFlags
	output    outputFormat
	audiences []string
}

func newTokenExplainCommand(s streams) *cobra.Command {
	c := &tokenExplain{output: outputFormat{allowed: []string{"json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "explain TOKEN|-",
		Short: "Ask a server why a token is accepted or refused",
		Long: `Have a token reviewed by a server and print the verdict, its reason, and each check that
was made with what it expects and what it finds (TokenExplanation). The server must let you
create tokenexplanations.mintmark.io, which is for administrators unless you grant it.

With --offline no server is asked. The form of the token, its signature, times and audiences are
checked as the server would, with the keys of --jwks. Whether its service account and the object
that it is bound to still exist, and whether it was revoked, only a server can tell.

With - the token is read from standard input. That is the better way, since other users of
the machine can see a command's arguments. The token itself is never printed, nor its
signature.

Exit code:
  0  the token is good
  1  the token is refused
  2  there is no explanation: a wrong flag, no server, no permission. It says nothing about the token
  3  the server can't tell now, since a store or an issuer does not answer it`,
		Example: `  # Why is it refused?
  mintmark token explain - < token

  # Is it good for Vault?
  mintmark token explain --audience vault - < token

  # Without a server, with the keys that the issuer publishes
  mintmark token explain --offline --jwks https://issuer.example/openid/v1/jwks - < token`,
		Args:              tokenArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		PreRunE:           func(cmd *cobra.Command, _ []string) error { return c.validate(cmd) },
		RunE:              verdictOn(s, &c.audiences, c.run),
	}
	cmd.Flags().StringArrayVar(&c.audiences, "audience", nil, "Audience that the token must be good for; may be repeated, and one is enough (default: the server's own audiences; with --offline, any)")
	completeFlag(cmd, "audience")
	c.output.addTo(cmd)
	c.offlineFlags.addTo(cmd)
	c.connectionFlags.addTo(cmd)
	return cmd
}

func (c *tokenExplain) run(cmd *cobra.Command, token string, s streams) error {
	explanation := &v1alpha1.TokenExplanation{}
	explain := c.ask
	if c.offline {
		explain = c.withoutServer
	}
	if err := explain(cmd, s, token, explanation); err != nil {
		return errors.New(withoutToken(err.Error(), token))
	}
	explanation.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("TokenExplanation"))
	explanation.Spec.Token, explanation.ManagedFields = "", nil
	return c.print(s, explanation)
}

// ask asks the server.
func (c *tokenExplain) ask(cmd *cobra.Command, s streams, token string, explanation *v1alpha1.TokenExplanation) error {
	client, err := c.openOwn(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
	defer cancel()
	asked := &v1alpha1.TokenExplanation{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: c.audiences}}
	err = client.Post().Resource("tokenexplanations").Body(asked).Do(ctx).Into(explanation)
	if err == nil && explanation.Status.Verdict == "" {
		err = errors.New("the answer has no verdict")
	}
	if err == nil {
		return nil
	}
	return askersFault(client.server, client.server.explain(ctx, err))
}

// askersFault says of a failure that it is not the token's: Vault's users, and others, could never tell the two apart.
func askersFault(server *connection, err error) error {
	const notTheToken = "this says nothing about the token"
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("your own credentials are refused, %s: %w", notTheToken, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not ask, %s: %w. Have an administrator grant you 'create' on tokenexplanations.mintmark.io", notTheToken, err)
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		return fmt.Errorf("the server %s (from %s) has no TokenExplanation, %s: use 'mintmark token review'", server.config.Host, server.source, notTheToken)
	}
	return fmt.Errorf("there is no explanation, and %s: %w", notTheToken, err)
}

// print shows the answer, and returns the exit code for it.
func (c *tokenExplain) print(s streams, explanation *v1alpha1.TokenExplanation) error {
	status := &explanation.Status
	var err error
	if c.output.value != "" {
		err = c.output.print(s.out, explanation)
	} else {
		err = writeExplanation(s.out, status)
	}
	switch {
	case err != nil:
		return err
	case status.Verdict == v1alpha1.VerdictAuthenticated:
		return nil
	case status.Verdict == v1alpha1.VerdictRefused:
		return &exitError{exitRefused, nil}
	}
	return &exitError{exitUndecided, nil}
}

// writeExplanation writes an explanation for a person.
func writeExplanation(w io.Writer, status *v1alpha1.TokenExplanationStatus) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, values ...string) {
		for _, value := range values {
			if value != "" {
				_, _ = fmt.Fprintf(table, "%s\t%s\n", name, plain(value)) // Flush has the error
				name = ""
			}
		}
	}
	row("VERDICT", string(status.Verdict))
	row("REASON", status.Reason, status.Message)
	row("ERROR", status.Error)
	row("AUTHENTICATOR", status.Authenticator)
	if status.User != nil {
		row("USERNAME", status.User.Username)
	}
	row("AUDIENCES", status.Audiences...)
	row("SERVER TIME", status.ServerTime.UTC().Format(time.RFC3339))
	if err := table.Flush(); err != nil || len(status.Checks) == 0 {
		return err
	}
	results := map[v1alpha1.TokenCheckResult]string{
		v1alpha1.CheckPassed: "passed", v1alpha1.CheckFailed: "FAILED", v1alpha1.CheckNotReached: "not reached",
	}
	table = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprint(table, "\nCHECK\tRESULT\tFOUND\tEXPECTED\n")
	for _, check := range status.Checks {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", plain(check.Name), results[check.Result], plain(check.Found), plain(check.Expected))
	}
	return table.Flush()
}
