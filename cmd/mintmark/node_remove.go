package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/revocation"
)

type nodeRemove struct {
	connectionFlags
	dryRun bool
}

func newNodeRemoveCommand(s streams) *cobra.Command {
	c := &nodeRemove{}
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a node: end its certificate, its pods and their tokens",
		Long: `Remove a node. In this order: its bootstrap tokens and signing requests, its client certificates (a
TokenRevocation), the Node object with its lease, and its pods without grace. With these, every
token ends that is bound to the node or to one of its pods. Each step is told. If one fails, the
command can be run again.

The name can be used again at once: 'mintmark node add NAME' has a machine join with a new
certificate, and the old one stays refused.`,
		Example: `  # What would go
  mintmark node remove vm1 --dry-run`,
		Args:              nodeArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], s) },
	}
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "Say what would be removed, and change nothing")
	c.addTo(cmd)
	return cmd
}

func (c *nodeRemove) run(cmd *cobra.Command, name string, s streams) error {
	client, err := c.openNodes(cmd, s)
	if err != nil {
		return err
	}
	own, err := newKeysClient(client.server)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	did := "Removed"
	if c.dryRun {
		did = "Would remove"
	}
	r := &removal{nodeClient: client, own: own, name: name, dryRun: c.dryRun, tell: func(format string, args ...any) {
		_, _ = fmt.Fprintf(s.out, did+" "+format+".\n", args...) // a closed terminal can't be told
	}}
	return r.run(ctx)
}

// removal is the removal of one node.
type removal struct {
	*nodeClient
	own    *keysClient
	name   string
	dryRun bool
	tell   func(format string, args ...any)
}

func (r *removal) run(ctx context.Context) error {
	_, err := r.CoreV1().Nodes().Get(ctx, r.name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("failed to look for the node: %w", r.server.explain(ctx, err))
	}
	registered := err == nil
	tokens, err := r.joinTokens(ctx, r.name)
	if err != nil {
		return err
	}
	requests, err := r.signingRequests(ctx, r.name)
	if err != nil {
		return err
	}
	pods, err := r.pods(ctx)
	if err != nil {
		return err
	}
	if !registered && len(tokens)+len(requests[r.name])+len(pods) == 0 {
		return fmt.Errorf("there is no node %s, and nothing that belongs to it: see 'mintmark node list'. If a machine has a certificate by that name all the same, run 'mintmark token revoke --client-certificate-of %s%s'",
			r.name, nodeUserPrefix, r.name)
	}
	if err := r.endTokens(ctx, tokens); err != nil {
		return err
	}
	if err := r.endCertificates(ctx, requests[r.name]); err != nil {
		return err
	}
	if registered {
		err := r.CoreV1().Nodes().Delete(ctx, r.name, r.options())
		if err := r.gone(ctx, err, "the node "+r.name); err != nil {
			return err
		}
	}
	err = r.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(ctx, r.name, r.options())
	if err := r.gone(ctx, err, "the lease "+corev1.NamespaceNodeLease+"/"+r.name); err != nil {
		return err
	}
	return r.endPods(ctx)
}

func (r *removal) pods(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := r.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + r.name})
	if err != nil {
		return nil, fmt.Errorf("failed to list the pods of the node: %w", r.server.explain(ctx, err))
	}
	return pods.Items, nil
}

// options deletes without grace.
func (r *removal) options() metav1.DeleteOptions {
	return metav1.DeleteOptions{DryRun: dry(r.dryRun), GracePeriodSeconds: new(int64)}
}

// gone tells that an object was deleted. One that was not there is not told of.
func (r *removal) gone(ctx context.Context, err error, what string) error {
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("failed to remove %s: %w; run the command again", what, r.server.explain(ctx, err))
	}
	r.tell("%s", what)
	return nil
}

func (r *removal) endTokens(ctx context.Context, tokens []corev1.Secret) error {
	for i := range tokens {
		err := r.CoreV1().Secrets(tokens[i].Namespace).Delete(ctx, tokens[i].Name, r.options())
		if err := r.gone(ctx, err, "the bootstrap token "+tokenID(&tokens[i])); err != nil {
			return err
		}
	}
	return nil
}

// rounds is how often certificates are revoked at most.
const rounds = 3

// endCertificates removes the signing requests and revokes the certificates. A request that came in between may have been signed after
// the instant of the revocation: then there is another one.
func (r *removal) endCertificates(ctx context.Context, requests []certificatesv1.CertificateSigningRequest) error {
	for range rounds {
		for i := range requests {
			err := r.CertificatesV1().CertificateSigningRequests().Delete(ctx, requests[i].Name, r.options())
			if err := r.gone(ctx, err, "the signing request "+requests[i].Name); err != nil {
				return err
			}
		}
		revoked, err := r.revoke(ctx)
		if err != nil || r.dryRun {
			return err
		}
		left, err := r.signingRequests(ctx, r.name)
		if err != nil {
			return err
		}
		if requests = left[r.name]; len(requests) == 0 {
			return r.pass(ctx, revoked)
		}
	}
	return fmt.Errorf("new signing requests for %s come in all the time: delete its bootstrap tokens, and run the command again", r.name)
}

func (r *removal) revoke(ctx context.Context) (*v1alpha1.TokenRevocation, error) {
	entry := &v1alpha1.TokenRevocation{Spec: v1alpha1.TokenRevocationSpec{
		ClientCertificate: &v1alpha1.ClientCertificateReference{Username: nodeUserPrefix + r.name}, Reason: "mintmark node remove " + r.name,
	}}
	made := &v1alpha1.TokenRevocation{}
	err := r.own.Post().Resource(tokenRevocations).VersionedParams(&metav1.CreateOptions{DryRun: dry(r.dryRun)}, metav1.ParameterCodec).
		Body(entry).Do(ctx).Into(made)
	if err != nil {
		return nil, fmt.Errorf("failed to revoke the client certificates of %s: %w; run the command again", r.name, r.server.explain(ctx, err))
	}
	r.tell("%s, issued before %s (tokenrevocation %s)", revocation.Covered(&made.Spec), made.Spec.IssuedBefore.UTC().Format(time.RFC3339), made.Name)
	return made, nil
}

// pass waits until the instant of a revocation is over, a second at most, so that the next certificate is a good one.
func (r *removal) pass(ctx context.Context, revoked *v1alpha1.TokenRevocation) error {
	if revoked.Status.RevokedAt == nil {
		return nil
	}
	timer := time.NewTimer(revoked.Spec.IssuedBefore.Sub(revoked.Status.RevokedAt.Time))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return r.server.explain(ctx, ctx.Err())
	case <-timer.C:
		return nil
	}
}

// endPods removes the pods that there are now: the node may have made some until its certificate was revoked.
func (r *removal) endPods(ctx context.Context) error {
	pods, err := r.pods(ctx)
	if err != nil {
		return err
	}
	for i := range pods {
		options := r.options()
		options.Preconditions = metav1.NewUIDPreconditions(string(pods[i].UID))
		err := r.CoreV1().Pods(pods[i].Namespace).Delete(ctx, pods[i].Name, options)
		if err := r.gone(ctx, err, "the pod "+pods[i].Namespace+"/"+pods[i].Name); err != nil {
			return err
		}
	}
	return nil
}
