package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

type keysRetire struct {
	keysCommand
	at string
}

func newKeysRetireCommand(s streams) *cobra.Command {
	c := &keysRetire{}
	cmd := &cobra.Command{
		Use:   "retire KEY-ID|NAME",
		Short: "Have a key sign no more; its tokens are accepted until they end",
		Long: `Have a key sign no more, though no other key takes over from it. Its tokens are accepted until they
end. The last key of an algorithm that the server needs can't be retired: rotate instead.`,
		Example: `  # RS256 is not needed any more
  mintmark keys retire rs256-1`,
		Args:              keyArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, s, func(ctx context.Context, client *keysClient) error { return c.run(ctx, cmd, s, client, args[0]) })
		},
	}
	cmd.Flags().StringVar(&c.at, "at", "", "When the key stops signing, such as 2030-01-31T12:00:00Z (default: now)")
	completeFlag(cmd, "at")
	c.addDryRun(cmd)
	c.addTo(cmd)
	return cmd
}

func (c *keysRetire) run(ctx context.Context, cmd *cobra.Command, s streams, client *keysClient, name string) error {
	life, _, err := client.find(ctx, name)
	if err != nil {
		return err
	}
	from := client.now()
	if c.at != "" {
		if from, err = time.Parse(time.RFC3339, c.at); err != nil {
			return usageErrorf(cmd, "--at must be an instant such as 2030-01-31T12:00:00Z")
		}
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"retiredFrom": at(from)}})
	if err != nil {
		return err
	}
	changed, err := client.patch(ctx, life.Key.Name, patch, c.dryRun)
	if err != nil {
		return fmt.Errorf("failed to retire %s: %w", life.Key.Name, err)
	}
	schedule, err := client.plan(ctx)
	if err != nil {
		return err
	}
	retired := changed.Spec.RetiredFrom.Time
	sentences := []string{fmt.Sprintf("%s signs no tokens from %s on.", changed.Name, at(retired))}
	return c.say(s, append(sentences, "Its tokens are accepted until they end. "+signsThen(schedule, changed, retired))...)
}

// signsThen says which key signs with the algorithm of a key when that one has stopped.
func signsThen(schedule *signingkey.Schedule, stopped *v1alpha1.SigningKey, at time.Time) string {
	keys := make([]*v1alpha1.SigningKey, len(schedule.Keys))
	for i := range schedule.Keys {
		keys[i] = schedule.Keys[i].Key
		if keys[i].Name == stopped.Name {
			keys[i] = stopped
		}
	}
	then := signingkey.Plan(keys, at)
	if active := then.Active(stopped.Spec.Algorithm); active != nil {
		return fmt.Sprintf("%s signs with %s then.", active.Key.Name, stopped.Spec.Algorithm)
	}
	return fmt.Sprintf("No key signs with %s then.", stopped.Spec.Algorithm)
}
