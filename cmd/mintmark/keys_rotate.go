package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// lead is the flags about the lead time of a new key.
type lead struct {
	time  time.Duration
	set   func() bool
	force bool
}

func (l *lead) addTo(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&l.time, "lead", 0, "How long the key is published before it signs (default: --signing-key-lead-time of the server)")
	cmd.Flags().BoolVar(&l.force, "force", false, "Accept a lead shorter than relying parties were told to keep the key set: they may refuse the key's first tokens")
	l.set = func() bool { return cmd.Flags().Changed("lead") }
	completeFlag(cmd, "lead", "0s", "1h", "24h")
}

func (l *lead) apply(spec *v1alpha1.SigningKeySpec) {
	spec.AcceptShortLead = l.force
	if l.set() {
		spec.LeadTime = &metav1.Duration{Duration: l.time}
	}
}

type keysRotate struct {
	keysCommand
	lead
	algorithm string
}

func newKeysRotateCommand(s streams) *cobra.Command {
	c := &keysRotate{}
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Prepare a key that takes over when its lead is over",
		Long: `Make a new signing key. It is published at once, so that relying parties learn of it, and takes
over when its lead is over. The key before it signs no more then; its tokens are accepted until
they end.`,
		Example: `  # What would happen?
  mintmark keys rotate --dry-run

  # After a leak: a new key signs at once
  mintmark keys rotate --lead 0s --force`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.do(cmd, s, func(ctx context.Context, client *keysClient) error { return c.run(ctx, s, client) })
		},
	}
	cmd.Flags().StringVar(&c.algorithm, "algorithm", signingkey.DefaultAlgorithm, "Algorithm with which the key signs: ES256, ES384, ES512, RS256 or EdDSA")
	completeFlag(cmd, "algorithm", "ES256", "ES384", "ES512", "RS256", "EdDSA")
	c.lead.addTo(cmd)
	c.addDryRun(cmd)
	c.connectionFlags.addTo(cmd)
	return cmd
}

func (c *keysRotate) run(ctx context.Context, s streams, client *keysClient) error {
	before, err := client.plan(ctx)
	if err != nil {
		return err
	}
	key := &v1alpha1.SigningKey{Spec: v1alpha1.SigningKeySpec{Algorithm: c.algorithm}}
	c.apply(&key.Spec)
	made, err := client.create(ctx, key, c.dryRun)
	if err != nil {
		return fmt.Errorf("failed to rotate: %w", err)
	}
	return c.say(s, rotation(made, before.Active(c.algorithm))...)
}

// rotation says what a new key does to the one that signs now, which may be nil.
func rotation(made *v1alpha1.SigningKey, before *signingkey.Life) []string {
	name := made.Name
	if made.Spec.KeyID != "" {
		name += " (key id " + made.Spec.KeyID + ")"
	}
	signs, lead := made.Spec.SignsFrom.Time, made.Spec.LeadTime.Duration
	plan := []string{fmt.Sprintf("%s is published from now on, and signs with %s from %s on, after a lead of %s.", name, made.Spec.Algorithm, at(signs), lead)}
	if before == nil {
		return append(plan, fmt.Sprintf("No key signs with %s until then.", made.Spec.Algorithm))
	}
	plan = append(plan, fmt.Sprintf("%s signs until then, and its tokens are accepted until they end.", before.Key.Name))
	if made.Spec.AcceptShortLead {
		plan = append(plan, "Relying parties that have kept the key set for longer than the lead refuse tokens of the new key until they read the key set again. This server accepts them.")
	} else {
		plan = append(plan, "No token stops working.")
	}
	return plan
}
