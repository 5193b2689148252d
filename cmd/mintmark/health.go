package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	clientdiscovery "k8s.io/client-go/discovery"
)

type health struct {
	connectionFlags
	live bool
}

func newHealthCommand(s streams) *cobra.Command {
	h := &health{}
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a server whether it is ready",
		Long: `Asks a server for /readyz: whether requests may be sent to it. The exit code is 0 if it is ready, and 1 if it
is not, or does not answer; the error names the checks that fail. For the health check of a container, and
for scripts on machines without curl.`,
		Example: `  # The server whose data directory is ./mintmark-data
  mintmark health

  # Whether the process serves at all, whatever its store does
  mintmark health --live --data-dir /var/lib/mintmark`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return h.run(cmd, s) },
	}
	cmd.Flags().BoolVar(&h.live, "live", false, "Ask for /livez instead: whether the process serves, whatever its store does")
	h.addTo(cmd)
	return cmd
}

func (h *health) run(cmd *cobra.Command, s streams) error {
	server, err := h.open(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	path, is := "/readyz", "ready"
	if h.live {
		path, is = "/livez", "live"
	}
	if err := server.check(ctx, path, is); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s is %s\n", server.config.Host, is)
	return err
}

// check asks a health endpoint.
func (c *connection) check(ctx context.Context, path, is string) error {
	client, err := clientdiscovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		return fmt.Errorf("cannot use the kubeconfig %s: %w", c.source, err)
	}
	code := 0
	body, err := client.RESTClient().Get().AbsPath(path).Param("verbose", "").Do(ctx).StatusCode(&code).Raw()
	switch {
	case err == nil:
		return nil
	case code >= http.StatusInternalServerError:
		return fmt.Errorf("%s is not %s: %s", c.config.Host, is, failing(body))
	}
	return c.explain(ctx, err)
}

// failing returns the names of the checks that fail, as the answer lists them.
func failing(body []byte) string {
	var names []string
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, strings.TrimSpace(name))
		}
	}
	if len(names) == 0 {
		return "it names no check that fails"
	}
	return strings.Join(names, ", ")
}
