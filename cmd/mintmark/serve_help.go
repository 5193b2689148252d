package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
)

//go:generate go test -run TestFlagsPage . -write

// firstFlags are the flags that most people need, in the order in which --help shows them.
var firstFlags = []string{
	"data-dir", "bind-address", "secure-port", "external-hostname", "tls-cert-file", "tls-private-key-file",
	"service-account-issuer", "service-account-signing-key-file", "service-account-key-file",
	"authentication-config", "authorization-mode", "etcd-servers", "encryption-provider-config",
}

// setServeHelp makes --help show the first flags, and --help-all all of them in their groups. The flag's value is returned.
func setServeHelp(cmd *cobra.Command, groups cliflag.NamedFlagSets, width int) *bool {
	all := cmd.Flags().Bool("help-all", false, "show this help with all flags")
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		out := cmd.OutOrStdout()
		_, _ = fmt.Fprintf(out, "%s\n\nUsage:\n  %s\n\nExamples:\n%s\n", cmd.Long, cmd.UseLine(), cmd.Example) // a closed terminal can't be told
		if *all {
			cliflag.PrintSections(out, groups, width)
			return
		}
		first := pflag.NewFlagSet("", pflag.ContinueOnError)
		first.SortFlags = false
		for _, name := range firstFlags {
			first.AddFlag(cmd.Flags().Lookup(name))
		}
		_, _ = fmt.Fprintf(out, "\nFlags:\n%s\nAll flags: '%s --help-all'. Those that kube-apiserver has keep its names and meaning.\n",
			first.FlagUsagesWrapped(width), cmd.CommandPath())
	})
	return all
}
