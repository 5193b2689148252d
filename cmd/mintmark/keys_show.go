package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

type keysShow struct {
	keysCommand
	output outputFormat
}

func newKeysShowCommand(s streams) *cobra.Command {
	c := &keysShow{output: outputFormat{allowed: []string{"json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "show KEY-ID|NAME",
		Short: "Show one signing key, its public half, and what comes next",
		Example: `  mintmark keys show es256-1

  # The public half alone
  mintmark keys show es256-1 -o json | jq -r .spec.publicKey`,
		Args:              keyArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, s, func(ctx context.Context, client *keysClient) error {
				life, schedule, err := client.find(ctx, args[0])
				if err != nil {
					return err
				}
				if c.output.value != "" {
					if err := clean(life.Key, "SigningKey"); err != nil {
						return err
					}
					return c.output.print(s.out, life.Key)
				}
				return writeKey(s.out, life, schedule)
			})
		},
	}
	c.output.addTo(cmd)
	c.addTo(cmd)
	return cmd
}

func writeKey(w io.Writer, life *signingkey.Life, schedule *signingkey.Schedule) error {
	key := life.Key
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"NAME", key.Name},
		{"STATE", string(life.State)},
		{"ALGORITHM", key.Spec.Algorithm},
		{"KEY-ID", key.Spec.KeyID},
		{"SIGNS-SINCE", orNone(life.SigningSince)},
		{"RETIRED", orNone(life.RetiredSince)},
		{"TOKENS-UNTIL", tokensUntil(key)},
		{"GONE", orNone(life.GoneAt)},
		{"HIDDEN", fmt.Sprint(key.Spec.Hidden)},
	} {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", row[0], plain(row[1])) // Flush has the error
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n\n%s", plain(comesNext(life, schedule)), plain(key.Spec.PublicKey))
	return err
}

// comesNext says in a sentence what becomes of a key if nothing is done.
func comesNext(life *signingkey.Life, schedule *signingkey.Schedule) string {
	key := life.Key
	switch life.State {
	case v1alpha1.SigningKeyPrepared:
		return fmt.Sprintf("%s takes over at %s.", key.Name, at(life.SigningSince))
	case v1alpha1.SigningKeyActive:
		if life.RetiredSince.IsZero() {
			return fmt.Sprintf("%s signs until another key takes over: 'mintmark keys rotate --algorithm %s' prepares one.", key.Name, key.Spec.Algorithm)
		}
		if next := schedule.Prepared(key.Spec.Algorithm); next != nil {
			return fmt.Sprintf("%s signs until %s, when %s takes over.", key.Name, at(life.RetiredSince), next.Key.Name)
		}
		return fmt.Sprintf("%s signs until %s.", key.Name, at(life.RetiredSince))
	case v1alpha1.SigningKeyGone:
		return fmt.Sprintf("%s is not accepted any more, and the signingkey-controller removes it.", key.Name)
	}
	return fmt.Sprintf("%s signs no tokens. %s", key.Name, acceptedUntil(life))
}

// acceptedUntil says until when the tokens of a key are accepted.
func acceptedUntil(life *signingkey.Life) string {
	switch {
	case life.Key.Status.LegacyTokens:
		return "Its tokens are accepted until those in secrets, which have no end, are signed anew by the signingkey-controller."
	case life.GoneAt.IsZero():
		return "Its tokens are accepted."
	}
	return fmt.Sprintf("Its tokens are accepted until they end; it is gone at %s.", at(life.GoneAt))
}
