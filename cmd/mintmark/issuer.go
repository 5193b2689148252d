package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

const trustedIssuers = "trustedissuers"

func newIssuerCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "issuer",
		Short: "Add, list, test and remove issuers whose tokens are accepted: other clusters, and others",
		Long: `A trusted issuer (trustedissuers.mintmark.io) has the server accept the tokens of another issuer:
the service account tokens of another cluster, or those of any issuer that publishes its keys.
It counts on every replica from when the command is done, and its removal likewise.

The commands find the server as kubectl does: in the file named with --kubeconfig, else in
$KUBECONFIG, else in admin.kubeconfig in the data directory of 'mintmark serve'.`,
		Args: subcommandArgs,
		RunE: showHelp,
	}
	cmd.AddCommand(newIssuerAddCommand(s), newIssuerListCommand(s), newIssuerTestCommand(s), newIssuerRemoveCommand(s))
	return cmd
}

// issuerName refuses what can't be the name of a trusted issuer.
func issuerName(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || args[0] == "" {
		return usageErrorf(cmd, "name one trusted issuer: %s", cmd.UseLine())
	}
	if problems := validation.IsDNS1123Subdomain(args[0]); len(problems) > 0 {
		return usageErrorf(cmd, "%q can't be the name of a trusted issuer: %s", plain(args[0]), problems[0])
	}
	return nil
}

// issuerArg is the cobra.PositionalArgs of commands about one trusted issuer.
func issuerArg(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageErrorf(cmd, "more than one trusted issuer named")
	}
	return issuerName(cmd, args)
}

// issuer returns a trusted issuer.
func (c *keysClient) issuer(ctx context.Context, name string) (*v1alpha1.TrustedIssuer, error) {
	found := &v1alpha1.TrustedIssuer{}
	if err := c.Get().Resource(trustedIssuers).Name(name).Do(ctx).Into(found); err != nil {
		return nil, fmt.Errorf("failed to look for the trusted issuer: %w", c.server.explain(ctx, err))
	}
	return found, nil
}

// issuers returns all trusted issuers.
func (c *keysClient) issuers(ctx context.Context) (*v1alpha1.TrustedIssuerList, error) {
	list := &v1alpha1.TrustedIssuerList{}
	if err := c.Get().Resource(trustedIssuers).Do(ctx).Into(list); err != nil {
		return nil, fmt.Errorf("failed to list the trusted issuers: %w", c.server.explain(ctx, err))
	}
	return list, nil
}

// storeIssuer makes a trusted issuer. If keep is given, it replaces the one of that name, after keep has put into the spec what stays
// of the stored one.
func (c *keysClient) storeIssuer(ctx context.Context, issuer *v1alpha1.TrustedIssuer, keep func(spec, stored *v1alpha1.TrustedIssuerSpec), dryRun bool,
) (*v1alpha1.TrustedIssuer, error) {
	stored := &v1alpha1.TrustedIssuer{}
	if keep != nil {
		err := c.Get().Resource(trustedIssuers).Name(issuer.Name).Do(ctx).Into(stored)
		if err == nil {
			spec := issuer.Spec.DeepCopy()
			keep(spec, &stored.Spec)
			stored.Spec = *spec
			err = c.Put().Resource(trustedIssuers).Name(issuer.Name).
				VersionedParams(&metav1.UpdateOptions{DryRun: dry(dryRun)}, metav1.ParameterCodec).Body(stored).Do(ctx).Into(stored)
		}
		if !apierrors.IsNotFound(err) {
			return stored, c.explainStored(ctx, err)
		}
	}
	err := c.Post().Resource(trustedIssuers).VersionedParams(&metav1.CreateOptions{DryRun: dry(dryRun)}, metav1.ParameterCodec).Body(issuer).Do(ctx).Into(stored)
	if apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("there is a trusted issuer %s already: replace it with --replace, or choose another name", issuer.Name)
	}
	return stored, c.explainStored(ctx, err)
}

func (c *keysClient) explainStored(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("failed to store the trusted issuer: %w", c.server.explain(ctx, err))
}

// teller says on a stream what a command does to each object: done, or what would be done.
type teller struct {
	to     io.Writer
	dryRun bool
}

// did says that an object was made, kept or removed. The verb is in both forms, such as "Made" and "make".
func (t teller) did(past, verb, format string, args ...any) {
	if t.dryRun {
		past = "Would " + verb
	}
	t.say("%s %s.", past, fmt.Sprintf(format, args...))
}

// say says a sentence.
func (t teller) say(format string, args ...any) {
	_, _ = fmt.Fprintln(t.to, plain(strings.TrimRight(fmt.Sprintf(format, args...), "\n"))) // a closed terminal can't be told
}
