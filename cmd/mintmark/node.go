package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/mintmark/mintmark/internal/certificates"
)

// nodeUserPrefix begins the user names of nodes.
const nodeUserPrefix = "system:node:"

func newNodeCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Add, list and remove the machines that keep tokens in files",
		Long: `A node is a machine that runs 'mintmark agent', or a kubelet: it has a client certificate, and gets
tokens for the workloads that name it.

The commands find the server as kubectl does: in the file named with --kubeconfig, else in
$KUBECONFIG, else in admin.kubeconfig in the data directory of 'mintmark serve'.`,
		Args: subcommandArgs,
		RunE: showHelp,
	}
	cmd.AddCommand(newNodeAddCommand(s), newNodeListCommand(s), newNodeRemoveCommand(s))
	return cmd
}

// nodeArg is the cobra.PositionalArgs of commands about one node.
func nodeArg(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return usageErrorf(cmd, "name one node: %s NAME", cmd.CommandPath())
	}
	if problems := validation.IsDNS1123Subdomain(args[0]); len(problems) > 0 {
		return usageErrorf(cmd, "%q can't be the name of a node: %s", plain(args[0]), problems[0])
	}
	return nil
}

// nodeClient is a client for what belongs to nodes.
type nodeClient struct {
	kubernetes.Interface
	server *connection
	// ahead is how far the clock of the server is ahead of this machine's, as the answer to authority tells it. It is 0 within a minute.
	ahead time.Duration
}

func (f *connectionFlags) openNodes(cmd *cobra.Command, s streams) (*nodeClient, error) {
	server, err := f.open(cmd, s.err)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(server.config)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig %s: %w", server.source, err)
	}
	return &nodeClient{Interface: client, server: server}, nil
}

// joinTokens returns the secrets of the bootstrap tokens that are good for one node only: that node, or any with an empty name.
func (c *nodeClient) joinTokens(ctx context.Context, node string) ([]corev1.Secret, error) {
	list, err := c.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(bootstrapapi.SecretTypeBootstrapToken)})
	if err != nil {
		return nil, fmt.Errorf("failed to list the bootstrap tokens: %w", c.server.explain(ctx, err))
	}
	var found []corev1.Secret
	for i := range list.Items {
		if name := string(list.Items[i].Data[certificates.NodeNameKey]); name != "" && (node == "" || name == node) {
			found = append(found, list.Items[i])
		}
	}
	return found, nil
}

// tokenID is the public part of a bootstrap token.
func tokenID(secret *corev1.Secret) string {
	return strings.TrimPrefix(secret.Name, bootstrapapi.BootstrapTokenSecretPrefix)
}

// signingRequests returns the requests for client certificates of one node, or of any with an empty name, by the names of their nodes.
func (c *nodeClient) signingRequests(ctx context.Context, node string) (map[string][]certificatesv1.CertificateSigningRequest, error) {
	list, err := c.CertificatesV1().CertificateSigningRequests().List(ctx, metav1.ListOptions{FieldSelector: "spec.signerName=" + certificatesv1.KubeAPIServerClientKubeletSignerName})
	if err != nil {
		return nil, fmt.Errorf("failed to list the signing requests: %w", c.server.explain(ctx, err))
	}
	found := map[string][]certificatesv1.CertificateSigningRequest{}
	for i := range list.Items {
		request, err := certificates.Parse(list.Items[i].Spec.Request)
		if err != nil {
			continue // it is for nobody
		}
		name, isNode := strings.CutPrefix(request.Subject.CommonName, nodeUserPrefix)
		if isNode && (node == "" || name == node) {
			found[name] = append(found[name], list.Items[i])
		}
	}
	return found, nil
}

// certificateEnd returns the latest end of the certificates of requests, which is zero if there are none.
func certificateEnd(requests []certificatesv1.CertificateSigningRequest) (latest time.Time) {
	for i := range requests {
		block, _ := pem.Decode(requests[i].Status.Certificate)
		if block == nil {
			continue
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil && certificate.NotAfter.After(latest) {
			latest = certificate.NotAfter
		}
	}
	return latest
}
