package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

type issuerRemove struct {
	connectionFlags
	from, fromContext string
	dryRun            bool
}

func newIssuerRemoveCommand(s streams) *cobra.Command {
	c := &issuerRemove{}
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Refuse the tokens of an issuer from now on",
		Long: `Remove the trusted issuer NAME, and the secret that 'mintmark issuer add --live-check' has made here.
The issuer's tokens are refused on every replica from then on.

What --live-check has made in the cluster stays there, and is named with the commands that remove
it. With --from-kubeconfig it is removed as well.`,
		Example: `  mintmark issuer remove east

  # With what --live-check has made in the cluster
  mintmark issuer remove east --from-kubeconfig east.kubeconfig`,
		Args:              issuerArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], s) },
	}
	cmd.Flags().StringVar(&c.from, "from-kubeconfig", "", "Kubeconfig file of the cluster, from which the objects of the live check are removed")
	cmd.Flags().StringVar(&c.fromContext, "from-context", "", "Context in that file (default: its current one)")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "Say what would be removed, and remove nothing")
	completeFlag(cmd, "from-context")
	_ = cmd.MarkFlagFilename("from-kubeconfig")
	c.addTo(cmd)
	return cmd
}

func (c *issuerRemove) run(cmd *cobra.Command, name string, s streams) error {
	if c.from == "" && c.fromContext != "" {
		return usageErrorf(cmd, "--from-context goes with --from-kubeconfig")
	}
	client, err := c.openOwn(cmd, s.err)
	if err != nil {
		return err
	}
	var there *otherCluster
	if c.from != "" {
		if there, err = openCluster(cmd, c.from, c.fromContext, s.err); err != nil {
			return err
		}
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	issuer, err := client.issuer(ctx, name)
	if err != nil {
		return err
	}
	tell := teller{to: s.out, dryRun: c.dryRun}
	uid := issuer.UID
	options := &metav1.DeleteOptions{DryRun: dry(c.dryRun), Preconditions: &metav1.Preconditions{UID: &uid}}
	if err := client.Delete().Resource(trustedIssuers).Name(name).Body(options).Do(ctx).Error(); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("failed to remove the trusted issuer: %w", client.server.explain(ctx, err))
	}
	tell.did("Removed", "remove", "the trusted issuer %s: tokens of %s are refused", name, issuer.Spec.URL)
	if err := c.removeSecret(ctx, client.server, issuer, tell); err != nil {
		return err
	}
	switch {
	case there != nil:
		return there.removeReviewer(ctx, tell)
	case issuer.Spec.LiveCheck != nil:
		tell.say("In the cluster, what 'mintmark issuer add --live-check' made there is left. To remove it, with the kubeconfig of the cluster:\n"+
			"  kubectl delete clusterrolebinding %[1]s\n  kubectl -n kube-system delete serviceaccount,secret %[1]s", liveCheckName)
	}
	return nil
}

// removeSecret removes the kubeconfig of the live check, if it was made for this issuer.
func (c *issuerRemove) removeSecret(ctx context.Context, here *connection, issuer *v1alpha1.TrustedIssuer, tell teller) error {
	check := issuer.Spec.LiveCheck
	if check == nil {
		return nil
	}
	client, err := kubernetes.NewForConfig(here.config)
	if err != nil {
		return fmt.Errorf("cannot use the kubeconfig %s: %w", here.source, err)
	}
	secrets := client.CoreV1().Secrets(check.KubeconfigSecret.Namespace)
	stored, err := secrets.Get(ctx, check.KubeconfigSecret.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("failed to look for the kubeconfig of the live check: %w", here.explain(ctx, err))
	case stored.Annotations[madeFor] != issuer.Name:
		tell.say("The secret %s/%s, which this command has not made, is kept.", stored.Namespace, stored.Name)
		return nil
	}
	uid := stored.UID
	err = secrets.Delete(ctx, stored.Name, metav1.DeleteOptions{DryRun: dry(tell.dryRun), Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("failed to remove the kubeconfig of the live check: %w", here.explain(ctx, err))
	}
	tell.did("Removed", "remove", "the secret %s/%s here", stored.Namespace, stored.Name)
	return nil
}
