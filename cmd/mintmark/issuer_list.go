package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

func newIssuerListCommand(s streams) *cobra.Command {
	list := listing[*v1alpha1.TrustedIssuerList]{
		kind: trustedIssuerKind,
		fetch: func(ctx context.Context, client *keysClient) (*v1alpha1.TrustedIssuerList, error) {
			ctx, cancel := context.WithTimeout(ctx, requestTimeout)
			defer cancel()
			return client.issuers(ctx)
		},
		table: func(client *keysClient, list *v1alpha1.TrustedIssuerList) error {
			if len(list.Items) == 0 {
				_, err := fmt.Fprintln(s.err, "The server trusts no other issuers: add one with 'mintmark issuer add'.")
				return err
			}
			return writeIssuers(s.out, list, client.now())
		},
	}
	return list.command(&cobra.Command{
		Use:   "list",
		Short: "List the trusted issuers and whether they work",
		Long: `List the trusted issuers: the state of each, how many keys it has and when they were read, as the
servers noted it (Inline: they are in the object). What is wrong with an issuer is in the last column.`,
		Example: `  mintmark issuer list
  mintmark issuer list -o name`,
	}, s)
}

func writeIssuers(w io.Writer, list *v1alpha1.TrustedIssuerList, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tURL\tSTATE\tKEYS\tLAST-REFRESH\tAGE\tMESSAGE") // Flush has the error
	for i := range list.Items {
		issuer := &list.Items[i]
		state, message, read := "<unknown>", "", "<none>"
		if ready := meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.TrustedIssuerReady); ready != nil {
			if state = v1alpha1.TrustedIssuerReady; ready.Status != metav1.ConditionTrue {
				state, message = ready.Reason, ready.Message
			}
		}
		switch {
		case issuer.Spec.JWKS != "":
			read = "Inline"
		case issuer.Status.KeysReadTime != nil:
			read = at(issuer.Status.KeysReadTime.Time)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", issuer.Name, plain(issuer.Spec.URL), plain(state), strconv.Itoa(len(issuer.Status.KeyIDs)),
			read, duration.HumanDuration(now.Sub(issuer.CreationTimestamp.Time)), plain(message))
	}
	return table.Flush()
}
