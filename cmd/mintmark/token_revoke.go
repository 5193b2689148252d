package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/revocation"
)

const tokenRevocations = "tokenrevocations"

type tokenRevoke struct {
	connectionFlags
	output       outputFormat
	credentialID string
	account      string
	key          string
	issuer       string
	certificate  string
	issuedBefore string
	reason       string
	dryRun       bool
}

func newTokenRevokeCommand(s streams) *cobra.Command {
	c := &tokenRevoke{output: outputFormat{allowed: []string{"json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "revoke TOKEN|-",
		Short: "Take a token back, or all tokens of an account or a key, or a user's client certificates",
		Long: `Take tokens back (a TokenRevocation of mintmark.io). The server refuses them from the moment at
which it answers, and every other replica does within a second.

Name what is taken back: a token, with - from standard input; a credential id, as audit logs and
'mintmark token review' show it; the tokens of a service account; the tokens of a signing key; or
the client certificates of a user. The last three cover what was issued before an instant, by
default now. What is issued in the rest of that second is covered as well: ask for new tokens or
certificates after it.

Parties that verify tokens offline are not reached: see docs/revocation.md.`,
		Example: `  # A token was found in a log
  mintmark token revoke - --reason 'found in a log' < token

  # All tokens that an account has now
  mintmark token revoke --service-account default/app

  # A laptop with a client certificate was stolen
  mintmark token revoke --client-certificate-of jane --reason 'laptop stolen'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return tokenArg(cmd, args)
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, args, s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.credentialID, "credential-id", "", "Credential id of the token, with or without JTI= in front")
	flags.StringVar(&c.account, "service-account", "", "NAMESPACE/NAME of the account whose tokens are taken back")
	flags.StringVar(&c.key, "key", "", "Key id of the signing key whose tokens are taken back")
	flags.StringVar(&c.issuer, "issuer", "", "Issuer of the credential id or of the key, if it is not this server")
	flags.StringVar(&c.certificate, "client-certificate-of", "", "User (the common name) whose client certificates are taken back")
	flags.StringVar(&c.issuedBefore, "issued-before", "now", "Instant before which the tokens were issued, as in 2026-01-31T12:00:00Z, or now; goes with --service-account, --key and --client-certificate-of")
	flags.StringVar(&c.reason, "reason", "", "Why, for people. It is stored: no token in it")
	flags.BoolVar(&c.dryRun, "dry-run", false, "Say what would be taken back, and change nothing")
	for _, name := range []string{"credential-id", "service-account", "key", "issuer", "client-certificate-of", "issued-before", "reason"} {
		completeFlag(cmd, name)
	}
	c.output.addTo(cmd)
	c.addTo(cmd)
	return cmd
}

func (c *tokenRevoke) run(cmd *cobra.Command, args []string, s streams) error {
	entry := &v1alpha1.TokenRevocation{}
	if err := c.fill(cmd, args, s, &entry.Spec); err != nil {
		return err
	}
	client, err := c.openOwn(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
	defer cancel()
	made := &v1alpha1.TokenRevocation{}
	err = client.Post().Resource(tokenRevocations).VersionedParams(&metav1.CreateOptions{DryRun: dry(c.dryRun)}, metav1.ParameterCodec).
		Body(entry).Do(ctx).Into(made)
	if err != nil {
		err = fmt.Errorf("nothing was revoked: %w", client.server.explain(ctx, err))
		if token := entry.Spec.Token; token != "" {
			return errors.New(withoutToken(err.Error(), token))
		}
		return err
	}
	if c.output.value != "" {
		made.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "TokenRevocation"}
		made.ManagedFields = nil
		return c.output.print(s.out, made)
	}
	return c.tell(s.out, made)
}

// fill writes what is taken back into a spec.
func (c *tokenRevoke) fill(cmd *cobra.Command, args []string, s streams, spec *v1alpha1.TokenRevocationSpec) error {
	named := len(args)
	for _, flag := range []string{"credential-id", "service-account", "key", "client-certificate-of"} {
		if cmd.Flags().Changed(flag) {
			named++
		}
	}
	if named != 1 {
		return usageErrorf(cmd, "name one of: a token (- reads it from standard input), --credential-id, --service-account, --key, --client-certificate-of")
	}
	if c.issuer != "" && c.credentialID == "" && c.key == "" {
		return usageErrorf(cmd, "--issuer goes with --credential-id or --key")
	}
	spec.Reason, spec.Issuer = c.reason, c.issuer
	if cmd.Flags().Changed("issued-before") && c.account == "" && c.key == "" && c.certificate == "" {
		return usageErrorf(cmd, "--issued-before goes with --service-account, --key or --client-certificate-of")
	}
	// Without an instant the server takes its own clock's, which is the one that the tokens were issued by.
	if c.issuedBefore != "now" {
		at, err := time.Parse(time.RFC3339, c.issuedBefore)
		if err != nil {
			return usageErrorf(cmd, "--issued-before must be now or an instant such as 2026-01-31T12:00:00Z")
		}
		before := metav1.NewTime(at)
		spec.IssuedBefore = &before
	}
	switch {
	case len(args) == 1:
		token, err := readToken(cmd.Context(), cmd, s, args[0])
		spec.Token = token
		return err
	case c.account != "":
		namespace, name, ok := strings.Cut(c.account, "/")
		if !ok || namespace == "" || name == "" {
			return usageErrorf(cmd, "--service-account must be NAMESPACE/NAME")
		}
		spec.ServiceAccount = &v1alpha1.ServiceAccountReference{Namespace: namespace, Name: name}
	case c.key != "":
		spec.KeyID = c.key
	case c.certificate != "":
		spec.ClientCertificate = &v1alpha1.ClientCertificateReference{Username: c.certificate}
	case c.credentialID != "":
		spec.CredentialID = c.credentialID
	default:
		return usageErrorf(cmd, "the flag that names what is revoked is empty")
	}
	return nil
}

// tell says what was taken back, as far as that is known.
func (c *tokenRevoke) tell(w io.Writer, made *v1alpha1.TokenRevocation) error {
	var text strings.Builder
	did := "Revoked"
	if c.dryRun {
		did = "Would revoke"
	}
	_, _ = fmt.Fprintf(&text, "%s %s", did, revocation.Covered(&made.Spec))
	if before := made.Spec.IssuedBefore; before != nil {
		_, _ = fmt.Fprintf(&text, " that were issued before %s", before.UTC().Format(time.RFC3339))
	}
	text.WriteString(".\n")
	switch {
	case c.key != "" && made.Spec.Issuer == "":
		text.WriteString("This server has no key with this id: the tokens of every issuer that have it are covered. --issuer names one.\n")
	case c.credentialID != "" && made.Spec.Issuer == "":
		text.WriteString("The server keeps no list of the tokens that it issued, so it can't tell whether there is one with this id.\n")
	}
	if expires := made.Status.Expires; expires != nil {
		_, _ = fmt.Fprintf(&text, "The last of them has ended by %s: the entry is removed then.\n", expires.UTC().Format(time.RFC3339))
	} else {
		text.WriteString("No end is known of them: the entry stays until it is deleted.\n")
	}
	if !c.dryRun {
		_, _ = fmt.Fprintf(&text, "To undo it: kubectl delete tokenrevocation %s\n", made.Name)
	}
	_, err := io.WriteString(w, plain(text.String()))
	return err
}
