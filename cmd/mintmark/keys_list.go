package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// maxPublished is how many keys of a key set AWS takes, the fewest among the known relying parties.
const maxPublished = 100

func newKeysListCommand(s streams) *cobra.Command {
	list := listing[*v1alpha1.SigningKeyList]{
		kind: "SigningKey",
		fetch: func(ctx context.Context, client *keysClient) (*v1alpha1.SigningKeyList, error) {
			return listKeys(ctx, s, client)
		},
		table: func(client *keysClient, list *v1alpha1.SigningKeyList) error {
			schedule := client.planOf(list)
			if len(schedule.Keys) == 0 {
				_, err := fmt.Fprintln(s.err, "The server has no signing keys of its own: they come from files or an external signer.")
				return err
			}
			return writeKeys(s.out, schedule, client.now())
		},
	}
	return list.command(&cobra.Command{
		Use:   "list",
		Short: "List the signing keys and where they are in their life",
		Long: `List the signing keys: the state of each, since when it signs, until when its last token can live
and when it is gone, by the server's clock.`,
		Example: `  mintmark keys list
  mintmark keys list -o json`,
	}, s)
}

// listKeys lists the keys, and warns if too many of them are published.
func listKeys(ctx context.Context, s streams, client *keysClient) (*v1alpha1.SigningKeyList, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := client.list(ctx)
	if err != nil {
		return nil, err
	}
	schedule := client.planOf(list)
	published := 0
	for i := range schedule.Keys {
		if schedule.Keys[i].Published() {
			published++
		}
	}
	warnOfMany(s, published)
	return list, nil
}

// warnOfMany warns of a key set that relying parties don't take.
func warnOfMany(s streams, published int) {
	if published > maxPublished {
		_, _ = fmt.Fprintf(s.err, "Warning: %d keys are published. AWS takes %d keys of an issuer, and refuses all tokens if there are more: "+
			"rotate less often, or remove retired keys whose tokens have ended.\n", published, maxPublished) // a closed terminal can't be told
	}
}

func writeKeys(w io.Writer, schedule *signingkey.Schedule, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tSTATE\tALGORITHM\tKEY-ID\tSIGNS-SINCE\tTOKENS-UNTIL\tGONE\tAGE") // Flush has the error
	for i := range schedule.Keys {
		life := &schedule.Keys[i]
		key := life.Key
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", key.Name, life.State, plain(key.Spec.Algorithm), plain(key.Spec.KeyID),
			orNone(life.SigningSince), tokensUntil(key), orNone(life.GoneAt), duration.HumanDuration(now.Sub(key.CreationTimestamp.Time)))
	}
	return table.Flush()
}

func orNone(t time.Time) string {
	if t.IsZero() {
		return "<none>"
	}
	return at(t)
}

// tokensUntil is until when a token of a key can live.
func tokensUntil(key *v1alpha1.SigningKey) string {
	switch {
	case key.Status.LegacyTokens:
		return "<no end>"
	case key.Status.TokensUntil == nil:
		return "<none>"
	}
	return at(key.Status.TokensUntil.Time)
}
