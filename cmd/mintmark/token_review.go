package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

type tokenReview struct {
	connectionFlags
	output    outputFormat
	audiences []string
}

func newTokenReviewCommand(s streams) *cobra.Command {
	c := &tokenReview{output: outputFormat{allowed: []string{"json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "review TOKEN|-",
		Short: "Ask a server whom a token belongs to, and whether it is good",
		Long: `Have a token reviewed by a server (TokenReview) and print whom it belongs to.

With - the token is read from standard input. That is the better way, since other users of
the machine can see a command's arguments. The token itself is never printed.

Exit code:
  0  the token is authenticated, and good for one of the audiences asked for
  1  the token is refused
  2  there was no review: a wrong flag, no server, no permission`,
		Example: `  # Whose token is it?
  mintmark token review - < token

  # In a script: is it good for Vault?
  mintmark token review --audience vault - < token > /dev/null && echo yes`,
		Args:              tokenArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              verdictOn(s, &c.audiences, c.run),
	}
	cmd.Flags().StringArrayVar(&c.audiences, "audience", nil, "Audience that the token must be good for; may be repeated, and one is enough (default: the server's own audiences)")
	completeFlag(cmd, "audience")
	c.output.addTo(cmd)
	c.addTo(cmd)
	return cmd
}

func (c *tokenReview) run(cmd *cobra.Command, token string, s streams) error {
	server, err := c.open(cmd, s.err)
	if err != nil {
		return err
	}
	client, err := authenticationv1client.NewForConfig(server.config)
	if err != nil {
		return fmt.Errorf("cannot use the kubeconfig %s: %w", server.source, err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
	defer cancel()
	review, err := client.TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: c.audiences},
	}, metav1.CreateOptions{})
	if err != nil {
		err = fmt.Errorf("failed to review token: %w", server.explain(ctx, err))
		return errors.New(withoutToken(err.Error(), token))
	}
	review.Spec.Token = "" // the answer repeats it
	review.Status.Error = withoutToken(review.Status.Error, token)
	return c.print(s, review)
}

// withoutToken takes the token out of a text from the server, where a webhook behind it may
// have repeated what it was asked.
func withoutToken(text, token string) string { return strings.ReplaceAll(text, token, "[token]") }

// print shows the answer, and returns the exit code for it.
func (c *tokenReview) print(s streams, review *authenticationv1.TokenReview) error {
	refusal := c.refusal(review)
	if c.output.value == "" {
		if err := writeReview(s.out, review.Status, refusal); err != nil {
			return err
		}
		if refusal != "" {
			return &exitError{exitRefused, nil}
		}
		return nil
	}
	review.TypeMeta = metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenReview"}
	review.ManagedFields = nil // kubectl doesn't show it either
	if err := c.output.print(s.out, review); err != nil {
		return err
	}
	if refusal != "" {
		return &exitError{exitRefused, fmt.Errorf("the token is refused: %s", refusal)}
	}
	return nil
}

// refusal says why the token isn't good, or is empty. A server that knows nothing of
// audiences leaves status.audiences empty whatever was asked: the API leaves it to the client
// to notice that.
func (c *tokenReview) refusal(review *authenticationv1.TokenReview) string {
	status := review.Status
	switch {
	case !status.Authenticated && status.Error == "":
		return "the server gives no reason"
	case !status.Authenticated:
		return status.Error
	case len(c.audiences) == 0:
		return ""
	}
	for _, audience := range c.audiences {
		if slices.Contains(status.Audiences, audience) {
			return ""
		}
	}
	return "the server knows the token, but does not say that it is good for the audience asked for"
}

func writeReview(w io.Writer, status authenticationv1.TokenReviewStatus, refusal string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, values ...string) {
		for _, value := range values {
			if value != "" {
				_, _ = fmt.Fprintf(table, "%s\t%s\n", name, plain(value)) // Flush has the error
				name = ""
			}
		}
	}
	authenticated := "no"
	if status.Authenticated {
		authenticated = "yes"
	}
	row("AUTHENTICATED", authenticated)
	row("USERNAME", status.User.Username)
	row("UID", status.User.UID)
	row("GROUPS", status.User.Groups...)
	row("AUDIENCES", status.Audiences...)
	var extra []string
	for _, key := range slices.Sorted(maps.Keys(status.User.Extra)) {
		extra = append(extra, key+"="+strings.Join(status.User.Extra[key], ","))
	}
	row("EXTRA", extra...)
	row("ERROR", refusal)
	return table.Flush()
}
