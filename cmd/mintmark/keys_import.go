package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

type keysImport struct {
	keysCommand
	lead
	hidden bool
}

func newKeysImportCommand(s streams) *cobra.Command {
	c := &keysImport{}
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Import a key: to sign with it, or to accept its tokens",
		Long: `Import a key from a PEM file, or from standard input. A private key takes over when its lead is over,
as after 'rotate'. A public key signs nothing: its tokens are accepted. It is kept for as long as
the longest token can live.

A private key is sealed in the server's store, and never comes back from there: neither this
command nor the API shows it.`,
		Example: `  # The key that a kube-apiserver signs with, so that its tokens are accepted
  mintmark keys import sa.pub

  # Go on with the key of --service-account-signing-key-file
  mintmark keys import sa.key --lead 0s --force`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageErrorf(cmd, "name one file, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := c.read(cmd, s, args[0])
			if err != nil {
				return err
			}
			return c.do(cmd, s, func(ctx context.Context, client *keysClient) error { return c.run(ctx, cmd, s, client, text) })
		},
	}
	cmd.Flags().BoolVar(&c.hidden, "hidden", false, "Keep a public key out of the published key set: its tokens are accepted by this server only")
	c.lead.addTo(cmd)
	c.addDryRun(cmd)
	c.connectionFlags.addTo(cmd)
	return cmd
}

func (c *keysImport) read(cmd *cobra.Command, s streams, file string) (string, error) {
	if file == "-" {
		if err := stdinTaken(cmd); err != nil {
			return "", err
		}
		return readAll(cmd.Context(), s.in, maxTokenBytes)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cannot read the key: %w", err)
	}
	return string(text), nil
}

func (c *keysImport) run(ctx context.Context, cmd *cobra.Command, s streams, client *keysClient, text string) error {
	key := &v1alpha1.SigningKey{}
	private := strings.Contains(text, "PRIVATE KEY-----")
	switch {
	case private && c.hidden:
		return usageErrorf(cmd, "--hidden is for public keys: a key that signs must be published")
	case private:
		key.Spec.PrivateKey = text
		c.apply(&key.Spec)
	case c.set():
		return usageErrorf(cmd, "--lead is for private keys: a public key never signs")
	default:
		key.Spec.PublicKey, key.Spec.Hidden = text, c.hidden
	}
	before, err := client.plan(ctx)
	if err != nil {
		return err
	}
	made, err := client.create(ctx, key, c.dryRun)
	if err != nil {
		return fmt.Errorf("failed to import the key: %w", err)
	}
	if private {
		return c.say(s, rotation(made, before.Active(made.Spec.Algorithm))...)
	}
	return c.say(s, fmt.Sprintf("%s (key id %s) signs no tokens. Tokens of it are accepted until they end, %s at the latest.", made.Name, made.Spec.KeyID, at(made.Status.TokensUntil.Time)))
}
