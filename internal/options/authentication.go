package options

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/outbound"
)

// Bounds of --token-cache-size. Below the lower one no working set fits; a value above the upper one is a typing error.
var minTokenCache, maxTokenCache = resource.MustParse("1Mi"), resource.MustParse("64Gi")

func (o *Options) addAuthenticationFlags(fs *pflag.FlagSet) {
	a := &o.config.Authentication
	fs.StringVar(&a.ClientCAFile, "client-ca-file", a.ClientCAFile,
		"PEM bundle of authorities whose client certificates are accepted, besides the one in the data directory. It is read again when it changes.")
	a.RequestHeader.AddFlags(fs)
	fs.StringVar(&a.TokenFile, "token-auth-file", a.TokenFile,
		`CSV file of static tokens: token,user name,user uid[,"group1,group2"].`)
	fs.BoolVar(&a.BootstrapTokens, "enable-bootstrap-token-auth", a.BootstrapTokens,
		"Accept the tokens in secrets of type bootstrap.kubernetes.io/token in kube-system.")
	fs.StringVar(&a.ConfigurationFile, "authentication-config", a.ConfigurationFile,
		"File with an AuthenticationConfiguration (apiserver.config.k8s.io/v1): OpenID Connect issuers whose tokens are accepted, and where requests may be anonymous. It is read again when it changes.")
	fs.StringVar(&a.Webhook.KubeconfigFile, "authentication-token-webhook-config-file", a.Webhook.KubeconfigFile,
		"Kubeconfig of a webhook that is asked about tokens which nobody here knows.")
	fs.StringVar(&a.Webhook.Version, "authentication-token-webhook-version", a.Webhook.Version,
		"Version of TokenReview that the webhook is sent: v1 or v1beta1.")
	fs.DurationVar(&a.Webhook.CacheTTL, "authentication-token-webhook-cache-ttl", a.Webhook.CacheTTL,
		"How long verdicts of the webhook are remembered. 0 means not at all.")
	fs.Var(&o.tokenCache, "token-cache-size",
		"Memory for what is remembered of tokens, in bytes, such as 64Mi: for the signatures of service account tokens that were checked (a token takes less than 1Ki), and as much again each for verdicts of OpenID Connect issuers and of the webhook, where there are any. What was not asked for again makes way first.")
	fs.StringSliceVar(&o.privateIssuers, "allow-private-issuers", nil,
		"Networks, as in 10.0.0.0/8,fd00::/8, in which the servers that TrustedIssuers name may be: issuers, and clusters that are asked about a token. Addresses of loopback, of private networks and of other special kinds are refused otherwise, since whoever may write such an object chooses what this server calls. The address at which a cloud serves credentials must be named alone, as in 169.254.169.254/32. What flags and files name may be anywhere.")
	fs.BoolVar(&a.Anonymous, "anonymous-auth", a.Anonymous,
		"Let in requests without credentials, as system:anonymous. What they may do is another matter.")
	o.anonymous = fs.Lookup("anonymous-auth")
}

// validateAuthentication returns the errors in the flags for authentication.
func (o *Options) validateAuthentication() []error {
	a := &o.config.Authentication
	errs := a.RequestHeader.Validate()
	errs = append(errs, o.issuer.validate()...)
	networks, err := outbound.ParseNetworks(o.privateIssuers)
	if err != nil {
		errs = append(errs, fmt.Errorf("--allow-private-issuers: %w", err))
	}
	a.PrivateIssuers = networks
	if o.tokenCache.Cmp(minTokenCache) < 0 || o.tokenCache.Cmp(maxTokenCache) > 0 {
		errs = append(errs, fmt.Errorf("--token-cache-size=%s: it must be between %s and %s", &o.tokenCache, &minTokenCache, &maxTokenCache))
	}
	switch a.Webhook.Version {
	case "v1", "v1beta1":
	default:
		errs = append(errs, fmt.Errorf("unsupported authentication webhook version %q, supported versions are %q, %q", a.Webhook.Version, "v1", "v1beta1"))
	}
	if a.ConfigurationFile == "" {
		return errs
	}
	if o.issuer.given() {
		errs = append(errs, errors.New("authentication-config file and oidc-* flags are mutually exclusive"))
	}
	if err := checkFile(a.ConfigurationFile, checkObjectOrNothing); err != nil {
		return append(errs, fileError("authentication-config", a.ConfigurationFile, err))
	}
	cfg, err := authn.ReadConfiguration(a.ConfigurationFile)
	switch {
	case err != nil:
		errs = append(errs, fileError("authentication-config", a.ConfigurationFile, err))
	case cfg.Anonymous != nil && o.anonymous != nil && o.anonymous.Changed:
		errs = append(errs, field.Forbidden(field.NewPath("anonymous"),
			"--anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file"))
	}
	return errs
}
