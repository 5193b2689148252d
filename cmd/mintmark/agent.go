package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/logs"

	"github.com/mintmark/mintmark/internal/agent"
)

const (
	defaultAgentDir    = "/var/lib/mintmark-agent"
	defaultAgentHealth = "127.0.0.1:7444"
	// The agent has little in memory, so that the collector can run often.
	agentGarbagePercent = 25
)

type agentCommand struct {
	agent.Config
	bootstrapTokenFile string
}

func newAgentCommand() *cobra.Command {
	c := &agentCommand{}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Keep the token files of a machine fresh",
		Long: `Joins a server as a node, and keeps the projected volumes of its pods in files below
<root-dir>/pods/<namespace>_<name>/volumes/<volume>/, as a kubelet does. Nothing is run.

'mintmark node add NAME' prints the line that has a machine join. The bootstrap token is used once:
the agent gets a client certificate with it, which it renews by itself. Later starts need no flag but
those of the directories.

SIGHUP renews all tokens. SIGTERM and SIGINT end the agent and leave the files.`,
		Example: `  # Join, and keep the files
  mintmark agent --server https://tokens.example.com:7443 --node-name vm1 \
    --bootstrap-token-file token --ca-cert-hash sha256:...

  # Start again
  mintmark agent

  # Write all files and end, for an init container or cron
  mintmark agent --once`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.Server, "server", "s", "", "URL of the server (default: that of the last join)")
	flags.StringVar(&c.NodeName, "node-name", "", "Name of this node (default: that of the last join)")
	flags.StringVar(&c.BootstrapToken, "bootstrap-token", "", "Bootstrap token for the join. Other users of the machine can read it from the list of processes: see --bootstrap-token-file")
	flags.StringVar(&c.bootstrapTokenFile, "bootstrap-token-file", "", "File with the bootstrap token, or - for standard input")
	flags.StringArrayVar(&c.AuthorityHashes, "ca-cert-hash", nil, "Hash of the server's certificate authority, as sha256:<hex>; nothing is sent to a server without it. May be repeated")
	flags.StringVar(&c.AuthorityFile, "certificate-authority", "", "PEM file with the server's certificate authority, in the place of --ca-cert-hash")
	flags.StringVar(&c.RootDir, "root-dir", defaultAgentDir, "Directory that the files are below. A tmpfs keeps tokens off the disk")
	flags.StringVar(&c.StateDir, "state-dir", "", "Directory of the agent's own key and certificate (default: state in --root-dir)")
	flags.StringVar(&c.HealthAddress, "health-address", defaultAgentHealth, "Address of /livez, /readyz and /metrics; empty for none")
	flags.BoolVar(&c.Once, "once", false, "Write all files, and end; the exit code is 1 if some could not be written")
	for _, name := range []string{"server", "node-name", "bootstrap-token", "ca-cert-hash", "health-address"} {
		completeFlag(cmd, name)
	}
	_ = cmd.MarkFlagFilename("bootstrap-token-file")
	_ = cmd.MarkFlagFilename("certificate-authority", "crt", "pem")
	_ = cmd.MarkFlagDirname("root-dir")
	_ = cmd.MarkFlagDirname("state-dir")
	return cmd
}

func (c *agentCommand) run(cmd *cobra.Command) error {
	if err := c.readToken(cmd); err != nil {
		return err
	}
	c.UserAgent = userAgent()
	// A GOGC in the environment is the operator's choice.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(agentGarbagePercent)
	}
	logs.InitLogs()
	defer logs.FlushLogs()
	renew, stop := renewals(cmd.Context())
	defer stop()
	c.Renew = renew
	return agent.Run(cmd.Context(), c.Config)
}

// readToken reads the file of the bootstrap token.
func (c *agentCommand) readToken(cmd *cobra.Command) error {
	switch {
	case c.bootstrapTokenFile == "":
		return nil
	case c.BootstrapToken != "":
		return usageErrorf(cmd, "--bootstrap-token and --bootstrap-token-file both give the token: leave one of them out")
	}
	var text string
	if c.bootstrapTokenFile == "-" {
		read, err := readAll(cmd.Context(), cmd.InOrStdin(), maxTokenBytes)
		if err != nil {
			return fmt.Errorf("cannot read the bootstrap token from standard input: %w", err)
		}
		text = read
	} else {
		read, err := os.ReadFile(c.bootstrapTokenFile)
		if errors.Is(err, os.ErrNotExist) {
			return nil // it may be removed after the join; without one the agent says so
		}
		if err != nil {
			return fmt.Errorf("cannot read the file of --bootstrap-token-file: %w", err)
		}
		text = string(read)
	}
	c.BootstrapToken = strings.TrimSpace(text)
	return nil
}

// renewals has one value for each SIGHUP until stop is called or the context ends.
func renewals(ctx context.Context) (renew <-chan struct{}, stop func()) {
	signals, asked := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case <-ctx.Done():
				return
			case asked <- struct{}{}:
			}
		}
	}()
	return asked, func() {
		signal.Stop(signals)
		cancel()
	}
}
