package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // for --logging-format=json
	"k8s.io/component-base/term"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/options"
	"github.com/mintmark/mintmark/internal/shell"
)

// serveFlags are the flags of the server, in groups, and what they are read into.
type serveFlags struct {
	options *options.Options
	logging *logsapi.LoggingConfiguration
	groups  cliflag.NamedFlagSets
}

func newServeFlags() *serveFlags {
	f := &serveFlags{options: options.New(), logging: logsapi.NewLoggingConfiguration()}
	f.groups = f.options.Flags()
	logsapi.AddFlags(f.logging, f.groups.FlagSet("logging"))
	for _, name := range f.groups.Order {
		f.groups.FlagSets[name].SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	}
	return f
}

// newServeCommand is the server's command line.
func newServeCommand(s streams) *cobra.Command {
	flags := newServeFlags()
	var helpAll *bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Runs the server until it is told to stop (SIGTERM, SIGINT); requests in flight are answered first.

Without any flags it keeps its state in ./mintmark-data and listens on https://127.0.0.1:7443. The first
start makes what is missing: a certificate authority, a serving certificate, a signing key and the
kubeconfig of an administrator. It also fixes the issuer of the store's tokens.

Several servers share an etcd: give each of them the same --etcd-servers and the same
--encryption-provider-config, which encrypts the private keys in there. The file must have a provider for
signingkeys.mintmark.io or secrets that encrypts.`,
		Example: `  # Serve on this machine
  mintmark serve

  # Serve for others, as the issuer that they know
  mintmark serve --bind-address 0.0.0.0 --external-hostname tokens.example.com \
    --service-account-issuer https://tokens.example.com:7443

  # Serve for a test: in memory, and until the standard input is closed
  mintmark serve --ephemeral

  # Serve as one of several over an etcd
  mintmark serve --etcd-servers https://etcd:2379 --encryption-provider-config encryption.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if *helpAll {
				return cmd.Help()
			}
			logs.InitLogs()
			defer logs.FlushLogs()
			if err := logsapi.ValidateAndApply(flags.logging, nil); err != nil {
				return usageErrorf(cmd, "%w", err)
			}
			cfg, err := flags.options.Config()
			if err != nil {
				return usageErrorf(cmd, "%w", err)
			}
			cfg.OwnProcess = true
			// A GOGC in the environment is the operator's choice.
			cfg.TuneGarbage = os.Getenv("GOGC") == ""
			if cfg.Ephemeral {
				return serveEphemeral(cmd.Context(), cfg, s)
			}
			return serve(cmd.Context(), cfg, func(server *apiserver.Server) error {
				_, _ = fmt.Fprint(s.out, greeting(server)) // a closed terminal can't be told
				return nil
			})
		},
	}
	for _, name := range flags.groups.Order {
		cmd.Flags().AddFlagSet(flags.groups.FlagSets[name])
	}
	width, _, _ := term.TerminalSize(s.out)
	helpAll = setServeHelp(cmd, flags.groups, width)
	_ = cmd.MarkFlagDirname("data-dir")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if strings.HasSuffix(f.Name, "-file") {
			_ = cmd.MarkFlagFilename(f.Name)
		}
	})
	return cmd
}

// serve runs the server and has it greet once it is ready. A server that can't is stopped.
func serve(ctx context.Context, cfg apiserver.Config, greet func(*apiserver.Server) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server, err := apiserver.New(ctx, cfg)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	select {
	case <-server.Ready():
		if err := greet(server); err != nil {
			stop()
			return errors.Join(err, <-done)
		}
	case err := <-done:
		return err
	}
	return <-done
}

func greeting(server *apiserver.Server) string {
	var text strings.Builder
	for _, file := range server.Made() {
		fmt.Fprintf(&text, "made %s\n", file)
	}
	fmt.Fprintf(&text, "serving %s as issuer %s\n", server.URL(), server.Issuer())
	if server.KeepsIssuer() {
		text.WriteString("the issuer is that of an earlier start; --change-service-account-issuer changes it\n")
	}
	text.WriteString("\nIn another terminal:\n")
	text.WriteString(firstSteps(server.Kubeconfig()))
	return text.String()
}

// firstSteps are commands to copy into a shell. KUBECONFIG is a list of files, so a file with the list's separator in its
// name can't be in it.
func firstSteps(kubeconfig string) string {
	file, export, flag := shell.Quote(kubeconfig), "", ""
	if strings.ContainsRune(kubeconfig, filepath.ListSeparator) {
		flag = " --kubeconfig " + file
	} else {
		export = "  export KUBECONFIG=" + file + "\n"
	}
	return export + fmt.Sprintf(`  kubectl%[1]s create token default                            # a token for the account "default"
  mintmark token create default%[1]s | mintmark token review%[1]s - # the same without kubectl, reviewed
`, flag)
}
