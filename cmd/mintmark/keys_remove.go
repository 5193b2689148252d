package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

type keysRemove struct {
	keysCommand
	force bool
}

func newKeysRemoveCommand(s streams) *cobra.Command {
	c := &keysRemove{}
	cmd := &cobra.Command{
		Use:   "remove KEY-ID|NAME",
		Short: "Remove a key whose tokens have ended, or give up its tokens",
		Long: `Remove a key from the key set. While tokens that it signed can live this is refused, with the time at
which it will be safe, unless --force gives these tokens up. A key that signs is never removed:
rotate first. Keys whose tokens have ended are removed by the server itself.`,
		Example: `  # After a leak of es256-1, when a new key signs: refuse all tokens that es256-1 has signed
  mintmark keys remove es256-1 --force`,
		Args:              keyArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, s, func(ctx context.Context, client *keysClient) error { return c.run(ctx, s, client, args[0]) })
		},
	}
	cmd.Flags().BoolVar(&c.force, "force", false, "Remove the key although tokens that it signed may live: they are refused from then on")
	c.addDryRun(cmd)
	c.addTo(cmd)
	return cmd
}

func (c *keysRemove) run(ctx context.Context, s streams, client *keysClient, name string) error {
	life, _, err := client.find(ctx, name)
	if err != nil {
		return err
	}
	uid := life.Key.UID
	options := &metav1.DeleteOptions{DryRun: dry(c.dryRun), Preconditions: &metav1.Preconditions{UID: &uid}}
	if c.force {
		options.GracePeriodSeconds = new(int64)
	}
	if err := client.Delete().Resource(signingKeys).Name(life.Key.Name).Body(options).Do(ctx).Error(); err != nil {
		return fmt.Errorf("failed to remove %s: %w", life.Key.Name, client.server.explain(ctx, err))
	}
	verb := "is removed"
	if c.dryRun {
		verb = "would be removed"
	}
	return c.say(s, fmt.Sprintf("%s %s.", life.Key.Name, verb), stopWorking(life))
}

// stopWorking says whose tokens stop working when a key is removed, and until when they would have lived.
func stopWorking(life *signingkey.Life) string {
	key := life.Key
	switch {
	case life.State == v1alpha1.SigningKeyGone:
		return "No token stops working: those that it signed have ended."
	case life.State == v1alpha1.SigningKeyPrepared && key.Status.TokensUntil == nil && !key.Status.LegacyTokens:
		return "No token stops working: it has signed none."
	case key.Status.LegacyTokens:
		return "All service account tokens that it signed stop working, those in secrets among them, which have no end: here at once, and at relying parties when they read the key set again."
	}
	until := life.RetiredSince
	if end := key.Status.TokensUntil; end != nil && end.After(until) {
		until = end.Time
	}
	return fmt.Sprintf("All service account tokens that it signed stop working, the last of which would have ended at %s at the latest: here at once, and at relying parties when they read the key set again.", at(until))
}
