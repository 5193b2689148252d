package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/forgery"
)

type tokenForge struct {
	connectionFlags
	kind      string
	list      bool
	audiences []string
	output    outputFormat
}

func newTokenForgeCommand(s streams) *cobra.Command {
	c := &tokenForge{output: outputFormat{allowed: []string{"json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "forge ACCOUNT",
		Short: "Make a bad token, for the tests of a relying party",
		Long: `Make a token that is wrong in one way and print it, and nothing else, on standard output. A relying party
that accepts it has a hole. Apart from what is wrong with it the token is like one of 'mintmark token create': give
the audience that the relying party wants, so that nothing else is wrong.

Only a server that was started with 'mintmark serve --ephemeral' makes such tokens, and only for its
administrator.`,
		Example: `  # A token that has ended
  mintmark token forge default --kind Expired --audience my-proxy

  # Which kinds are there?
  mintmark token forge --list-kinds`,
		Args: func(cmd *cobra.Command, args []string) error { return c.validate(cmd, args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.list {
				return c.printKinds(s.out)
			}
			return c.run(cmd, args[0], s)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	clientcmd.FlagInfo{
		LongName: clientcmd.FlagNamespace, ShortName: "n",
		Description: "Namespace of the service account (default: the kubeconfig context's, else \"default\")",
	}.BindTransformingStringFlag(flags, &c.overrides.Context.Namespace, clientcmd.RemoveNamespacesPrefix)
	flags.StringVar(&c.kind, "kind", "", "What is wrong with the token; --list-kinds lists the kinds")
	flags.BoolVar(&c.list, "list-kinds", false, "List the kinds of bad tokens; no server is asked")
	flags.StringArrayVar(&c.audiences, "audience", nil, "Audience of the token; may be repeated (default: the server's own audiences)")
	c.output.addTo(cmd)
	c.connectionFlags.addTo(cmd)
	completeFlag(cmd, clientcmd.FlagNamespace)
	completeFlag(cmd, "kind", kindNames()...)
	completeFlag(cmd, "audience")
	return cmd
}

func kindNames() []string {
	var names []string
	for _, kind := range forgery.Kinds() {
		names = append(names, kind.Name)
	}
	return names
}

func (c *tokenForge) validate(cmd *cobra.Command, args []string) error {
	switch {
	case c.list && (len(args) > 0 || c.kind != ""):
		return usageErrorf(cmd, "--list-kinds goes with no account and no --kind: leave them out")
	case c.list:
		return nil
	case c.output.value != "":
		return usageErrorf(cmd, "--output is for --list-kinds: a token is printed as it is")
	case len(args) != 1 || args[0] == "":
		return usageErrorf(cmd, "name one service account: %s ACCOUNT --kind KIND", cmd.CommandPath())
	case c.kind == "":
		return usageErrorf(cmd, "--kind says what is wrong with the token; --list-kinds lists the kinds")
	case !slices.Contains(kindNames(), c.kind):
		return usageErrorf(cmd, "there is no kind of that name; the kinds are %s", strings.Join(kindNames(), ", "))
	case slices.Contains(c.audiences, ""):
		return usageErrorf(cmd, "--audience must not be empty: leave it out to get a token for the server's own audiences")
	}
	return nil
}

func (c *tokenForge) run(cmd *cobra.Command, account string, s streams) error {
	client, err := c.openOwn(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	var made apiserver.ForgedToken
	err = client.test(ctx, apiserver.ForgePath, forgery.Request{
		Kind: c.kind, Namespace: client.server.namespace, ServiceAccount: account, Audiences: c.audiences,
	}, &made)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, made.Token)
	return err
}

// test asks a server for tests, which others don't know how to answer. Without a body it only reads.
func (c *keysClient) test(ctx context.Context, path string, body, answer any) error {
	request := c.Get()
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		request = c.Post().Body(data)
	}
	result := request.AbsPath(path).SetHeader("Content-Type", "application/json").Do(ctx)
	err := result.Error() // which has the server's words, unlike that of Raw
	if err == nil {
		got, err := result.Raw()
		return errors.Join(err, json.Unmarshal(got, answer))
	}
	err = c.server.explain(ctx, err)
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) && !strings.Contains(err.Error(), "serviceaccounts") {
		return fmt.Errorf("the server %s (from %s) does not do this: only one that was started with 'mintmark serve --ephemeral' does, for its administrator (%w)",
			c.server.config.Host, c.server.source, err)
	}
	return err
}

func (c *tokenForge) printKinds(w io.Writer) error {
	kinds := apiserver.ListForgedKinds()
	if c.output.value != "" {
		return c.output.print(w, kinds)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KIND\tNEEDS REVIEW\tMEANING") // Flush says what fails
	for _, kind := range kinds.Kinds {
		_, _ = fmt.Fprintf(table, "%s\t%t\t%s\n", kind.Kind, kind.NeedsReview, kind.Meaning)
	}
	return table.Flush()
}
