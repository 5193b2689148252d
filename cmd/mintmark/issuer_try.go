package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/internal/revocation"
)

type issuerTest struct{ tokenExplain }

func newIssuerTestCommand(s streams) *cobra.Command {
	c := &issuerTest{tokenExplain{output: outputFormat{allowed: []string{"json", "yaml"}}}}
	cmd := &cobra.Command{
		Use:   "test NAME TOKEN|-",
		Short: "Ask the server whether it accepts a token of a trusted issuer, and why not",
		Long: `Have a token of a trusted issuer reviewed, for the audiences of the issuer, and print the verdict with
each check (TokenExplanation). If the token is of another issuer, that is said.

With - the token is read from standard input. That is the better way, since other users of
the machine can see a command's arguments. The token itself is never printed.

Exit code:
  0  the token is good
  1  the token is refused, or of another issuer
  2  there is no explanation: a wrong flag, no server, no permission. It says nothing about the token
  3  the server can't tell now, since a store or an issuer does not answer it`,
		Example: `  kubectl --kubeconfig east.kubeconfig create token app --audience vault | mintmark issuer test east -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := issuerName(cmd, args); err != nil {
				return err
			}
			return tokenArg(cmd, args[1:])
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return verdictOn(s, &c.audiences, func(cmd *cobra.Command, token string, s streams) error { return c.try(cmd, args[0], token, s) })(cmd, args[1:])
		},
	}
	cmd.Flags().StringArrayVar(&c.audiences, "audience", nil, "Audience that the token must be good for; may be repeated, and one is enough (default: those of the issuer, or of its tenant)")
	completeFlag(cmd, "audience")
	c.output.addTo(cmd)
	c.connectionFlags.addTo(cmd)
	return cmd
}

func (c *issuerTest) try(cmd *cobra.Command, name, token string, s streams) error {
	client, err := c.openOwn(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
	defer cancel()
	issuer, err := client.issuer(ctx, name)
	if err != nil {
		return err
	}
	if says := revocation.Read(token).Issuer; says != issuer.Spec.URL {
		return &exitError{exitRefused, fmt.Errorf("%s", c.stranger(ctx, client, name, issuer.Spec.URL, says))}
	}
	if len(c.audiences) == 0 {
		c.audiences = issuer.Spec.Audiences
		if issuer.Spec.Tenant != nil {
			c.audiences = append(append([]string{}, c.audiences...), issuer.Spec.Tenant.Audiences...)
		}
	}
	return c.run(cmd, token, s)
}

// stranger says whose a token is that is not of the issuer. Its claims have not been checked.
func (c *issuerTest) stranger(ctx context.Context, client *keysClient, name, url, says string) string {
	if says == "" {
		return fmt.Sprintf("the token names no issuer: it is not one of %s (%s)", name, url)
	}
	text := fmt.Sprintf("the token says that it is of the issuer %s, not of %s (%s)", says, name, url)
	list, err := client.issuers(ctx)
	if err != nil {
		return text
	}
	for i := range list.Items {
		if list.Items[i].Spec.URL == says {
			return text + ": that is the trusted issuer " + list.Items[i].Name
		}
	}
	return text + ": no trusted issuer has that URL"
}
