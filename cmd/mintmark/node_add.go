package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/mintmark/mintmark/internal/agent"
	"github.com/mintmark/mintmark/internal/certificates"
)

const (
	defaultJoinTTL         = time.Hour
	minJoinTTL, maxJoinTTL = time.Minute, 24 * time.Hour
)

type nodeAdd struct {
	connectionFlags
	rejoin bool
	ttl    time.Duration
}

func newNodeAddCommand(s streams) *cobra.Command {
	c := &nodeAdd{}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Let a machine join as a node",
		Long: `Print the line to type on a machine that is to be the node NAME. The bootstrap token in it is good
for an hour, for that name, and for one key: whoever uses it first. The line goes to standard
output, and all else to standard error.

The role bindings that nodes need are made unless they are there.`,
		Example: `  # On the administrator's machine; the address is one that vm1 reaches
  mintmark node add vm1 --server https://tokens.example.com:7443

  # A machine that was set up anew takes the place of the node vm1
  mintmark node add vm1 --rejoin`,
		Args:              nodeArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], s) },
	}
	cmd.Flags().BoolVar(&c.rejoin, "rejoin", false, "Have the machine take the place of a node of that name")
	cmd.Flags().DurationVar(&c.ttl, "ttl", defaultJoinTTL, "How long the bootstrap token is good")
	completeFlag(cmd, "ttl")
	c.addTo(cmd)
	return cmd
}

func (c *nodeAdd) run(cmd *cobra.Command, name string, s streams) error {
	if c.ttl < minJoinTTL || c.ttl > maxJoinTTL {
		return usageErrorf(cmd, "--ttl must be between %s and %s", minJoinTTL, maxJoinTTL)
	}
	client, err := c.openNodes(cmd, s)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	authority, err := client.authority(ctx)
	if err != nil {
		return err
	}
	if err := c.checkName(ctx, client, name); err != nil {
		return err
	}
	tell := func(format string, args ...any) { _, _ = fmt.Fprintf(s.err, format+"\n", args...) } // a closed terminal can't be told
	if client.ahead != 0 {
		tell("Warning: the clock of the server is %s that of this machine: set the one that is wrong. The token's end is told by the server's.", clockText(client.ahead.Round(time.Minute)))
	}
	if err := client.bindNodes(ctx, tell); err != nil {
		return err
	}
	secret, token, err := c.makeToken(ctx, client, name, tell)
	if err != nil {
		return err
	}
	if err := client.tryJoin(ctx, name, token, tell); err != nil {
		_ = client.CoreV1().Secrets(secret.Namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{}) // it ends by itself
		return err
	}
	if loopback(client.server.config.Host) {
		tell("Warning: %s reaches this machine only. For another machine, start the server with --bind-address and --external-hostname, and name its address here with --server.",
			client.server.config.Host)
	}
	tell("The token is good until %s. Type this on %s:", string(secret.Data[bootstrapapi.BootstrapTokenExpirationKey]), name)
	_, err = io.WriteString(s.out, fmt.Sprintf("mintmark agent --server %s --node-name %s --bootstrap-token %s --ca-cert-hash %s\n",
		client.server.config.Host, name, token, agent.HashAuthority(authority)))
	return err
}

// checkName refuses a name that a node has, unless that is to join again.
func (c *nodeAdd) checkName(ctx context.Context, client *nodeClient, name string) error {
	_, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil && !c.rejoin:
		return fmt.Errorf("there is a node %s already: choose another name, have a machine take its place with --rejoin, or remove it with 'mintmark node remove %s'", name, name)
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("failed to look for the node: %w", client.server.explain(ctx, err))
	}
	return nil
}

// makeToken makes the bootstrap token, and removes earlier ones for the same node: two machines must not join by one name.
func (c *nodeAdd) makeToken(ctx context.Context, client *nodeClient, name string, tell func(string, ...any)) (*corev1.Secret, string, error) {
	earlier, err := client.joinTokens(ctx, name)
	if err != nil {
		return nil, "", err
	}
	secrets := client.CoreV1().Secrets(metav1.NamespaceSystem)
	for i := range earlier {
		if err := secrets.Delete(ctx, earlier[i].Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return nil, "", fmt.Errorf("failed to remove an earlier bootstrap token: %w", client.server.explain(ctx, err))
		}
		tell("Removed the earlier bootstrap token %s for %s.", tokenID(&earlier[i]), name)
	}
	id, key := randomText(6), randomText(16) // as the form of bootstrap tokens has it
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: bootstrapapi.BootstrapTokenSecretPrefix + id, Namespace: metav1.NamespaceSystem},
		Type:       bootstrapapi.SecretTypeBootstrapToken,
		Data: map[string][]byte{
			bootstrapapi.BootstrapTokenIDKey:               []byte(id),
			bootstrapapi.BootstrapTokenSecretKey:           []byte(key),
			bootstrapapi.BootstrapTokenExpirationKey:       []byte(time.Now().Add(client.ahead + c.ttl).UTC().Format(time.RFC3339)),
			bootstrapapi.BootstrapTokenUsageAuthentication: []byte("true"),
			bootstrapapi.BootstrapTokenExtraGroupsKey:      []byte(certificates.NodeBootstrappers),
			bootstrapapi.BootstrapTokenDescriptionKey:      []byte("made by mintmark node add"),
			certificates.NodeNameKey:                       []byte(name),
		},
	}
	if c.rejoin {
		secret.Data[certificates.RejoinKey] = []byte("true")
	}
	if _, err := secrets.Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return nil, "", fmt.Errorf("failed to make the bootstrap token: %w", client.server.explain(ctx, err))
	}
	tell("Made the secret %s/%s, the bootstrap token.", secret.Namespace, secret.Name)
	return secret, id + "." + key, nil
}

// randomText returns letters and digits that can't be guessed.
func randomText(length int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, 0, length)
	for len(text) < length {
		var one [1]byte
		_, _ = rand.Read(one[:]) // it never fails
		// A remainder of all 256 values would favor some letters.
		if limit := 256 / len(alphabet) * len(alphabet); int(one[0]) < limit {
			text = append(text, alphabet[int(one[0])%len(alphabet)])
		}
	}
	return string(text)
}

// clockText says how a clock that is ahead of another one by some time relates to it.
func clockText(ahead time.Duration) string {
	if ahead < 0 {
		return ahead.Abs().String() + " behind"
	}
	return ahead.String() + " ahead of"
}

// loopback reports whether a URL leads to the machine itself.
func loopback(server string) bool {
	parsed, err := url.Parse(server)
	if err != nil {
		return false
	}
	ip := net.ParseIP(parsed.Hostname())
	return parsed.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

var errUnverified = errors.New("the kubeconfig does not verify the server (insecure-skip-tls-verify), so the hash of its authority can't be told: give the authority in the kubeconfig")
