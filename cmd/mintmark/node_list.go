package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/mintmark/mintmark/internal/certificates"
)

type nodeList struct {
	connectionFlags
	output outputFormat
}

// nodeRow is a node, or a machine that may join as one.
type nodeRow struct {
	Name string `json:"name"`
	// Registered is when the Node object was made.
	Registered *time.Time `json:"registered,omitempty"`
	// LastSeen is when the machine renewed its lease.
	LastSeen *time.Time `json:"lastSeen,omitempty"`
	// CertificateEnds is the end of the certificate that was issued last, while its signing request is kept.
	CertificateEnds *time.Time `json:"certificateEnds,omitempty"`
	Pods            int        `json:"pods"`
	// MayJoinUntil is the end of a bootstrap token that was not used yet.
	MayJoinUntil *time.Time `json:"mayJoinUntil,omitempty"`
}

func newNodeListCommand(s streams) *cobra.Command {
	c := &nodeList{output: outputFormat{allowed: []string{"table", "json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the nodes, and the machines that may join",
		Long: `List the nodes: when they were registered and last seen (by their leases), until when the certificate
that was issued last is good (as long as the server keeps its signing request), and how many pods
name them. A machine that has a bootstrap token and has not joined yet is listed as well.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd, s) },
	}
	c.output.addTo(cmd)
	c.addTo(cmd)
	return cmd
}

func (c *nodeList) run(cmd *cobra.Command, s streams) error {
	client, err := c.openNodes(cmd, s)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	rows, err := client.rows(ctx)
	if err != nil {
		return err
	}
	if c.output.value == "json" || c.output.value == "yaml" {
		return c.output.print(s.out, rows)
	}
	if len(rows) == 0 {
		_, err := io.WriteString(s.err, "No nodes found. 'mintmark node add --help' says how to make one.\n")
		return err
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
	_, _ = io.WriteString(table, "NAME\tREGISTERED\tLAST SEEN\tCERTIFICATE ENDS\tPODS\tMAY JOIN UNTIL\n") // Flush has the error
	for _, row := range rows {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", plain(row.Name), instantOr(row.Registered), instantOr(row.LastSeen), instantOr(row.CertificateEnds), row.Pods, instantOr(row.MayJoinUntil))
	}
	return table.Flush()
}

func instantOr(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

// rows returns the nodes by name. Leases, signing requests and bootstrap tokens that the caller may not read are left out.
func (c *nodeClient) rows(ctx context.Context) ([]nodeRow, error) {
	nodes, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to list the nodes: %w", c.server.explain(ctx, err))
	}
	rows := map[string]*nodeRow{}
	of := func(name string) *nodeRow {
		if rows[name] == nil {
			rows[name] = &nodeRow{Name: name}
		}
		return rows[name]
	}
	for i := range nodes.Items {
		registered := nodes.Items[i].CreationTimestamp.Time
		of(nodes.Items[i].Name).Registered = &registered
	}
	pods, err := c.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to list the pods: %w", c.server.explain(ctx, err))
	}
	for i := range pods.Items {
		if node := pods.Items[i].Spec.NodeName; rows[node] != nil {
			rows[node].Pods++
		}
	}
	if leases, err := c.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{}); err == nil {
		for i := range leases.Items {
			if row, seen := rows[leases.Items[i].Name], leases.Items[i].Spec.RenewTime; row != nil && seen != nil {
				row.LastSeen = &seen.Time
			}
		}
	}
	if requests, err := c.signingRequests(ctx, ""); err == nil {
		for name, of := range requests {
			if end := certificateEnd(of); rows[name] != nil && !end.IsZero() {
				rows[name].CertificateEnds = &end
			}
		}
	}
	if tokens, err := c.joinTokens(ctx, ""); err == nil {
		for i := range tokens {
			data := tokens[i].Data
			end, err := time.Parse(time.RFC3339, string(data[bootstrapapi.BootstrapTokenExpirationKey]))
			if err == nil && end.After(time.Now()) && len(data[certificates.UsedByKey]) == 0 {
				of(string(data[certificates.NodeNameKey])).MayJoinUntil = &end
			}
		}
	}
	list := make([]nodeRow, 0, len(rows))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		list = append(list, *rows[name])
	}
	return list, nil
}
