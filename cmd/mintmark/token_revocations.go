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

type tokenRevocationList struct {
	connectionFlags
	output outputFormat
}

func newTokenRevocationsCommand(s streams) *cobra.Command {
	c := &tokenRevocationList{output: outputFormat{allowed: []string{"table", "json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "revocations",
		Short: "List the tokens and client certificates that were taken back",
		Long:  `List the TokenRevocations of a server: what they cover, who made them, and until when they are kept.`,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.run(cmd, s) },
	}
	c.output.addTo(cmd)
	c.addTo(cmd)
	return cmd
}

func (c *tokenRevocationList) run(cmd *cobra.Command, s streams) error {
	client, err := c.openOwn(cmd, s.err)
	if err != nil {
		return err
	}
	all := &v1alpha1.TokenRevocationList{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "TokenRevocationList"}}
	for options := (metav1.ListOptions{Limit: revocationsPage}); ; {
		ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
		page := &v1alpha1.TokenRevocationList{}
		err := client.Get().Resource(tokenRevocations).VersionedParams(&options, metav1.ParameterCodec).Do(ctx).Into(page)
		if err != nil {
			err = fmt.Errorf("failed to list the revocations: %w", client.server.explain(ctx, err))
		}
		cancel()
		if err != nil {
			return err
		}
		all.Items = append(all.Items, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	if c.output.value == "json" || c.output.value == "yaml" {
		for i := range all.Items {
			all.Items[i].ManagedFields = nil
		}
		return c.output.print(s.out, all)
	}
	return writeRevocations(s.out, all.Items)
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
