package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

type issuerAdd struct {
	connectionFlags
	output outputFormat
	dryRun bool

	from, fromContext      string
	url, discovery, caFile string
	jwksURI, jwks          string
	audiences, tenants     []string
	kubernetes             bool
	prefix                 string
	usernameClaim          string
	groupsClaim            string
	publish, inline, live  bool
	replace                bool
}

func newIssuerAddCommand(s streams) *cobra.Command {
	c := &issuerAdd{output: outputFormat{allowed: []string{"json", "yaml", "name"}}}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Have the tokens of another cluster, or of any issuer, accepted",
		Long: `Make the trusted issuer NAME.

With --from-kubeconfig the issuer and its keys are read from a cluster, with the credential in that
file. If the cluster's documents can be read at a public address without a credential, the server
reads the keys there by itself, and follows their rotation. Otherwise the keys are put into the
object, which the command says: add the cluster again with --replace when its keys change.

With --live-check the server asks the cluster about each token as well, so that a token ends with
its pod or account. A service account for that is made in the cluster, and a secret with its
token here. Each object that is made is named.

Without --from-kubeconfig, --url names the issuer, and the keys come from its discovery document,
from --jwks-uri, or from the file --jwks. --kubernetes says that it is a cluster; otherwise the
user is made of the claim sub, with a prefix.`,
		Example: `  # The cluster of a kubeconfig; its tokens for the audience vault are accepted
  mintmark issuer add east --from-kubeconfig east.kubeconfig --audience vault

  # ... and end with their pods and accounts
  mintmark issuer add east --from-kubeconfig east.kubeconfig --audience vault --live-check

  # A cluster that can't be reached, with the answer of 'kubectl get --raw /openid/v1/jwks'
  mintmark issuer add edge --url https://edge.example.com --jwks keys.json --kubernetes --prefix edge: --audience vault

  # GitHub's workflows
  mintmark issuer add github --url https://token.actions.githubusercontent.com --audience vault --prefix github:`,
		Args:              issuerArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.validate(cmd); err != nil {
				return err
			}
			return c.run(cmd, args[0], s)
		},
	}
	c.addFlags(cmd)
	c.output.addTo(cmd)
	c.connectionFlags.addTo(cmd)
	return cmd
}

func (c *issuerAdd) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.from, "from-kubeconfig", "", "Kubeconfig file of the cluster whose tokens are to be accepted")
	flags.StringVar(&c.fromContext, "from-context", "", "Context in that file (default: its current one)")
	flags.StringArrayVar(&c.audiences, "audience", nil, "Audience for which tokens are accepted; may be repeated (default with --from-kubeconfig: the issuer, for which a cluster issues the tokens of its pods)")
	flags.StringVar(&c.prefix, "prefix", "", "Prefix of user names and groups, such as east: (default: none for a cluster, else NAME:)")
	flags.StringArrayVar(&c.tenants, "tenant-audience", nil, "Show tokens of the issuer only to reviews that ask for this audience; may be repeated")
	flags.BoolVar(&c.live, "live-check", false, "Have the cluster asked about each token, and make what that takes. With --from-kubeconfig")
	flags.BoolVar(&c.publish, "discovery", false, "Have the server read the keys at the issuer's address, though that is not public or can't be reached from here. With --from-kubeconfig")
	flags.BoolVar(&c.inline, "inline-keys", false, "Put the keys into the object, though the server could read them. With --from-kubeconfig")
	flags.StringVar(&c.url, "url", "", "The issuer: the claim iss of its tokens")
	flags.StringVar(&c.discovery, "discovery-url", "", "Address of the discovery document (default: the issuer with /.well-known/openid-configuration)")
	flags.StringVar(&c.caFile, "ca-file", "", "File with the certificate authority of the issuer's addresses (default: those of the server's system)")
	flags.StringVar(&c.jwksURI, "jwks-uri", "", "Address of the key set, instead of discovery")
	flags.StringVar(&c.jwks, "jwks", "", "File with the key set, or - for standard input: no address is called")
	flags.BoolVar(&c.kubernetes, "kubernetes", false, "The tokens are service account tokens of a cluster. --from-kubeconfig implies it")
	flags.StringVar(&c.usernameClaim, "username-claim", "sub", "Claim with the user name, without --kubernetes")
	flags.StringVar(&c.groupsClaim, "groups-claim", "", "Claim with the groups, without --kubernetes")
	flags.BoolVar(&c.replace, "replace", false, "Replace the keys of a trusted issuer of that name, and what else flags name; the rest of it stays")
	flags.BoolVar(&c.dryRun, "dry-run", false, "Say what would be made, and make nothing")
	for _, name := range []string{"audience", "prefix", "tenant-audience", "url", "discovery-url", "jwks-uri", "username-claim", "groups-claim", "from-context"} {
		completeFlag(cmd, name)
	}
	for _, name := range []string{"from-kubeconfig", "ca-file", "jwks"} {
		_ = cmd.MarkFlagFilename(name)
	}
}

// validate refuses flags that contradict one another.
func (c *issuerAdd) validate(cmd *cobra.Command) error {
	changed := func(names ...string) string {
		i := slices.IndexFunc(names, cmd.Flags().Changed)
		if i < 0 {
			return ""
		}
		return names[i]
	}
	if c.from != "" {
		if other := changed("url", "discovery-url", "ca-file", "jwks-uri", "jwks", "username-claim", "groups-claim"); other != "" {
			return usageErrorf(cmd, "--%s does not go with --from-kubeconfig, which has all of that read from the cluster", other)
		}
		if c.publish && c.inline {
			return usageErrorf(cmd, "--discovery and --inline-keys are two sources of keys: choose one")
		}
		return nil
	}
	switch other := changed("from-context", "live-check", "discovery", "inline-keys"); {
	case other != "":
		return usageErrorf(cmd, "--%s goes with --from-kubeconfig", other)
	case c.url == "":
		return usageErrorf(cmd, "name a cluster with --from-kubeconfig, or an issuer with --url")
	case len(c.audiences) == 0 && !c.replace:
		return usageErrorf(cmd, "name at least one --audience for which the issuer's tokens are accepted")
	}
	if other := changed("username-claim", "groups-claim"); c.kubernetes && other != "" {
		return usageErrorf(cmd, "--%s does not go with --kubernetes, which makes the user as a cluster does", other)
	}
	if other := changed("discovery-url", "jwks-uri", "ca-file"); c.jwks != "" && other != "" {
		return usageErrorf(cmd, "--%s does not go with --jwks, with which no address is called", other)
	}
	if c.jwks == "-" {
		return stdinTaken(cmd)
	}
	return nil
}

func (c *issuerAdd) run(cmd *cobra.Command, name string, s streams) error {
	client, err := c.openOwn(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	tell := teller{to: s.err, dryRun: c.dryRun}
	issuer := &v1alpha1.TrustedIssuer{}
	issuer.Name = name
	if c.from == "" {
		err = c.describe(cmd, s, issuer, tell)
	} else {
		err = c.fromCluster(ctx, cmd, client, issuer, tell)
	}
	if err != nil {
		return err
	}
	made, err := client.storeIssuer(ctx, issuer, c.kept(cmd), c.dryRun)
	if err != nil {
		return err
	}
	return c.printMade(s, made)
}

// fromCluster takes the spec from the cluster of a kubeconfig, and makes what the live check takes.
func (c *issuerAdd) fromCluster(ctx context.Context, cmd *cobra.Command, client *keysClient, issuer *v1alpha1.TrustedIssuer, tell teller) error {
	there, err := openCluster(cmd, c.from, c.fromContext, tell.to)
	if err != nil {
		return err
	}
	if err := c.read(ctx, there, &issuer.Spec, tell); err != nil {
		return err
	}
	if !c.live {
		return nil
	}
	secret := liveCheckSecret(issuer.Name)
	issuer.Spec.LiveCheck = &v1alpha1.LiveCheck{KubeconfigSecret: v1alpha1.SecretReference{Namespace: secret.Namespace, Name: secret.Name}}
	// A mistake in the object shows before anything is made for it.
	if _, err := client.storeIssuer(ctx, issuer, c.kept(cmd), true); err != nil {
		return err
	}
	return there.makeLiveCheck(ctx, client.server, secret, tell)
}

// describe takes the spec from the flags.
func (c *issuerAdd) describe(cmd *cobra.Command, s streams, issuer *v1alpha1.TrustedIssuer, tell teller) error {
	spec := &issuer.Spec
	spec.URL, spec.DiscoveryURL, spec.JWKSURI = c.url, c.discovery, c.jwksURI
	c.setAudiences(spec, c.audiences)
	if c.caFile != "" {
		authorities, err := os.ReadFile(c.caFile)
		if err != nil {
			return fmt.Errorf("cannot read the file named with --ca-file: %w", err)
		}
		spec.CertificateAuthority = string(authorities)
	}
	if err := c.readKeys(cmd, s, spec); err != nil {
		return err
	}
	if c.kubernetes {
		spec.Kubernetes = &v1alpha1.KubernetesTokens{Prefix: c.prefix}
		tell.ofCommonIssuer(spec.URL)
		return nil
	}
	prefix := c.prefix
	if !cmd.Flags().Changed("prefix") {
		prefix = issuer.Name + ":"
		if !c.replace {
			tell.say("User names begin with %s: choose another prefix with --prefix.", prefix)
		}
	}
	spec.ClaimMappings = &v1alpha1.ClaimMappings{Username: v1alpha1.PrefixedClaimOrExpression{Claim: c.usernameClaim, Prefix: &prefix}}
	if c.groupsClaim != "" {
		spec.ClaimMappings.Groups = v1alpha1.PrefixedClaimOrExpression{Claim: c.groupsClaim, Prefix: &prefix}
	}
	return nil
}

func (c *issuerAdd) setAudiences(spec *v1alpha1.TrustedIssuerSpec, audiences []string) {
	spec.Audiences = audiences
	if len(audiences) > 1 {
		spec.AudienceMatchPolicy = v1alpha1.AudienceMatchPolicyMatchAny
	}
	if len(c.tenants) > 0 {
		spec.Tenant = &v1alpha1.IssuerTenant{Audiences: c.tenants}
	}
}

// readKeys reads the file of --jwks. What is in it is never shown: it may be a private key by mistake.
func (c *issuerAdd) readKeys(cmd *cobra.Command, s streams, spec *v1alpha1.TrustedIssuerSpec) error {
	if c.jwks == "" {
		return nil
	}
	var text string
	var err error
	if c.jwks == "-" {
		text, err = readAll(cmd.Context(), s.in, maxTokenBytes)
	} else {
		var file []byte
		file, err = os.ReadFile(c.jwks)
		text = string(file)
	}
	if err != nil {
		return fmt.Errorf("cannot read the key set: %w", err)
	}
	if spec.JWKS = strings.TrimSpace(text); spec.JWKS == "" {
		return errors.New("the key set named with --jwks is empty: give it the answer of 'kubectl get --raw /openid/v1/jwks' of the cluster")
	}
	return nil
}

// printMade tells of the object that was made, or prints it.
func (c *issuerAdd) printMade(s streams, made *v1alpha1.TrustedIssuer) error {
	switch c.output.value {
	case "":
		sentences := []string{}
		if c.dryRun {
			sentences = append(sentences, "Dry run: nothing is changed.")
		}
		sentences = append(sentences, fmt.Sprintf("Tokens of %s are accepted for the audiences %s, as the trusted issuer %s.",
			made.Spec.URL, strings.Join(made.Spec.Audiences, ", "), made.Name))
		_, err := fmt.Fprintln(s.out, plain(strings.Join(sentences, "\n")))
		return err
	case "name":
		_, err := fmt.Fprintln(s.out, objectName(trustedIssuerKind, made.Name))
		return err
	}
	if err := clean(made, trustedIssuerKind); err != nil {
		return err
	}
	return c.output.print(s.out, made)
}

const trustedIssuerKind = "TrustedIssuer"
