package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/revocation"
)

// revocationsPage is how many revocations are asked for at a time.
const revocationsPage = 500

func newTokenRevocationsCommand(s streams) *cobra.Command {
	list := listing[*v1alpha1.TokenRevocationList]{
		kind:  "TokenRevocation",
		fetch: listRevocations,
		table: func(_ *keysClient, list *v1alpha1.TokenRevocationList) error {
			return writeRevocations(s.out, list.Items)
		},
	}
	return list.command(&cobra.Command{
		Use:   "revocations",
		Short: "List the tokens and client certificates that were taken back",
		Long:  `List the TokenRevocations of a server: what they cover, who made them, and until when they are kept.`,
	}, s)
}

// listRevocations lists all revocations, page by page.
func listRevocations(ctx context.Context, client *keysClient) (*v1alpha1.TokenRevocationList, error) {
	all := &v1alpha1.TokenRevocationList{}
	for options := (metav1.ListOptions{Limit: revocationsPage}); ; {
		page, err := revocationsOf(ctx, client, &options)
		if err != nil {
			return nil, err
		}
		all.Items = append(all.Items, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

// revocationsOf returns one page of revocations.
func revocationsOf(ctx context.Context, client *keysClient, options *metav1.ListOptions) (*v1alpha1.TokenRevocationList, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	page := &v1alpha1.TokenRevocationList{}
	if err := client.Get().Resource(tokenRevocations).VersionedParams(options, metav1.ParameterCodec).Do(ctx).Into(page); err != nil {
		return nil, fmt.Errorf("failed to list the revocations: %w", client.server.explain(ctx, err))
	}
	return page, nil
}

func writeRevocations(w io.Writer, entries []v1alpha1.TokenRevocation) error {
	if len(entries) == 0 {
		_, err := io.WriteString(w, "Nothing is revoked.\n")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tCOVERS\tISSUED BEFORE\tEXPIRES\tREVOKED BY\tREASON") // Flush has the error
	at := func(t *metav1.Time, none string) string {
		if t.IsZero() {
			return none
		}
		return t.UTC().Format(time.RFC3339)
	}
	for i := range entries {
		e := &entries[i]
		row := fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%q", e.Name, plain(revocation.Covered(&e.Spec)), at(e.Spec.IssuedBefore, "-"), at(e.Status.Expires, "never"), plain(e.Status.RevokedBy), e.Spec.Reason)
		_, _ = fmt.Fprintln(table, row)
	}
	return table.Flush()
}
