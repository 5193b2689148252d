package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/externalsignertest"
)

func newConformanceCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Check that another program keeps to a protocol",
		Args:  subcommandArgs,
		RunE:  showHelp,
	}
	cmd.AddCommand(newExternalSignerCommand(s), newWebhookConformanceCommand(s))
	return cmd
}

func newExternalSignerCommand(s streams) *cobra.Command {
	var options externalsignertest.Options
	cmd := &cobra.Command{
		Use:   "external-signer SOCKET",
		Short: "Check an external signer of service account tokens (KEP-740)",
		Long: `Make the calls that a kube-apiserver with --service-account-signing-endpoint makes, verify the
answers, and print each check by name. The exit code is 1 if a check failed.

The signer signs tokens for an account that does not exist. One of them lives as long as the
signer allows.

Test code can make the same checks: package github.com/mintmark/mintmark/externalsignertest.`,
		Example: `  mintmark conformance external-signer unix:///run/mintmark/signer.sock

  # An abstract socket, and a signer that signs for one issuer only
  mintmark conformance external-signer @signer --issuer https://tokens.example.com`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageErrorf(cmd, "name one socket, such as unix:///run/mintmark/signer.sock")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			report := &conformanceReport{}
			for result := range externalsignertest.Run(cmd.Context(), args[0], options) {
				if cmd.Context().Err() != nil {
					return errors.New("interrupted")
				}
				one := conformanceResult{Name: result.Name, Requirement: result.Requirement, Skipped: result.Skipped}
				if result.Err != nil {
					one.Error = result.Err.Error()
				}
				if err := report.tell(s.out, one); err != nil {
					return err
				}
			}
			return report.end(s.out)
		},
	}
	cmd.Flags().StringVar(&options.Issuer, "issuer", "", "issuer of the tokens that are signed, for signers that sign for one issuer only")
	cmd.Flags().StringVar(&options.Audience, "audience", "", "audience of the tokens that are signed")
	return cmd
}
