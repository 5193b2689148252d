package main

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/webhookconformance"
)

// webhookConformance is the command that checks a token webhook.
type webhookConformance struct {
	options    webhookconformance.Options
	version    string
	kubeconfig string
	tls        rest.TLSClientConfig
	output     outputFormat
}

func newWebhookConformanceCommand(s streams) *cobra.Command {
	c := &webhookConformance{output: outputFormat{allowed: []string{"json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "webhook URL|--kubeconfig FILE",
		Short: "Check a token webhook of kube-apiservers",
		Long: `Send the TokenReviews that a kube-apiserver with --authentication-token-webhook-config-file sends,
look at the answers, and print each check by name, with how to mend what failed. The exit code is 1
if a check failed.

The URL is called exactly as it stands. --kubeconfig takes the file that the kube-apiserver has,
which names the URL itself. With --good-token, a token that the webhook accepts, all checks are made.

Test code can make the same checks: package github.com/mintmark/mintmark/webhookconformance.`,
		Example: `  mintmark conformance webhook https://127.0.0.1:8443/authenticate --ca-file ca.crt

  # As a kube-apiserver is set up, with a token from standard input
  mintmark conformance webhook --kubeconfig webhook.kubeconfig --audience https://kubernetes.default.svc \
    --good-token - < token`,
		Args: c.checkArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args, s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "File of the kube-apiserver's --authentication-token-webhook-config-file, instead of a URL")
	flags.StringVar(&c.tls.CAFile, "ca-file", "", "File with the certificate authority of the webhook (default: those of the machine)")
	flags.StringVar(&c.tls.CertFile, "client-cert", "", "File with a client certificate to call the webhook with")
	flags.StringVar(&c.tls.KeyFile, "client-key", "", "File with the key of the client certificate")
	flags.StringVar(&c.options.Token, "good-token", "", "A token that the webhook accepts, or - for standard input, which other users of the machine can't see")
	flags.StringVar(&c.options.Audience, "audience", "", "Audience of the kube-apiserver, which the good token is for (default: https://kubernetes.default.svc)")
	flags.StringVar(&c.version, "version", "both", "Version of TokenReview to ask in: v1, v1beta1 or both")
	flags.DurationVar(&c.options.Timeout, "limit", 0, "How long an answer may take (default: 10s)")
	completeFlag(cmd, "version", "v1", "v1beta1", "both")
	c.output.addTo(cmd)
	return cmd
}

func (c *webhookConformance) checkArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 1, (len(args) == 1) == (c.kubeconfig != ""):
		return usageErrorf(cmd, "name the URL of the webhook, or --kubeconfig and no URL")
	case c.kubeconfig != "" && (c.tls.CAFile != "" || c.tls.CertFile != "" || c.tls.KeyFile != ""):
		return usageErrorf(cmd, "the kubeconfig has the certificates: leave out --ca-file, --client-cert and --client-key")
	case (c.tls.CertFile == "") != (c.tls.KeyFile == ""):
		return usageErrorf(cmd, "--client-cert and --client-key belong together")
	}
	switch c.version {
	case "both":
	case "v1", "v1beta1":
		c.options.Versions = []string{c.version}
	default:
		return usageErrorf(cmd, "--version must be v1, v1beta1 or both")
	}
	if len(args) == 0 {
		return nil
	}
	if target, err := url.Parse(args[0]); err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http" {
		return usageErrorf(cmd, "name a URL, such as https://127.0.0.1:8443/authenticate")
	}
	return nil
}

// connection returns how the webhook is called.
func (c *webhookConformance) connection(args []string) (*rest.Config, error) {
	if c.kubeconfig == "" {
		return &rest.Config{Host: args[0], TLSClientConfig: c.tls}, nil
	}
	config, err := webhookutil.LoadKubeconfig(c.kubeconfig, nil)
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("cannot use the kubeconfig %s: %w", c.kubeconfig, err)}
	}
	return config, nil
}

func (c *webhookConformance) run(cmd *cobra.Command, args []string, s streams) error {
	config, err := c.connection(args)
	if err != nil {
		return err
	}
	if c.options.Token != "" {
		if c.options.Token, err = readToken(cmd.Context(), cmd, s, c.options.Token); err != nil {
			return err
		}
	}
	report := &conformanceReport{}
	for result := range webhookconformance.Run(cmd.Context(), config, c.options) {
		if cmd.Context().Err() != nil {
			return errors.New("interrupted")
		}
		one := conformanceResult{Name: result.Name, Requirement: result.Requirement, Remedy: result.Remedy, Skipped: result.Skipped}
		if result.Err != nil {
			one.Error = result.Err.Error()
		}
		if c.output.value != "" {
			report.add(one)
		} else if err := report.tell(s.out, one); err != nil {
			return err
		}
	}
	if c.output.value == "" {
		return report.end(s.out)
	}
	if err := c.output.print(s.out, report); err != nil {
		return err
	}
	return report.verdict()
}
