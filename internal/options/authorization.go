package options

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/load"
	configvalidation "k8s.io/apiserver/pkg/apis/apiserver/validation"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"

	"github.com/mintmark/mintmark/internal/authz"
)

const (
	modeFlag          = "authorization-mode"
	configFlag        = "authorization-config"
	webhookConfigFlag = "authorization-webhook-config-file"
)

// webhookTimeout bounds a call of the authorization webhook; neither here nor upstream is there a flag for it.
const webhookTimeout = 30 * time.Second

// authorizationFlags hold the flags for authorization, which are kube-apiserver's.
type authorizationFlags struct {
	// modes are asked in this order.
	modes []string
	// configFile replaces all other fields.
	configFile string
	// webhookConfigFile is the kubeconfig of the webhook, and webhookVersion the version of the SubjectAccessReviews that
	// it is sent.
	webhookConfigFile, webhookVersion string
	// allowedTTL and refusedTTL are how long the webhook's answers are remembered.
	allowedTTL, refusedTTL time.Duration
	// flags tell which of these were given; nil where no flags are read.
	flags *pflag.FlagSet
}

func newAuthorizationFlags() authorizationFlags {
	return authorizationFlags{
		modes:          []string{authz.ModeNode, authz.ModeRBAC},
		webhookVersion: "v1beta1",
		allowedTTL:     5 * time.Minute,
		refusedTTL:     30 * time.Second,
	}
}

func (f *authorizationFlags) add(fs *pflag.FlagSet) {
	f.flags = fs
	fs.StringSliceVar(&f.modes, modeFlag, f.modes,
		"Ordered list of who is asked what a request may do: "+strings.Join(authz.Modes, ", ")+". Where others can reach the server, AlwaysAllow must be said twice.")
	fs.StringVar(&f.configFile, configFlag, f.configFile,
		"File with an AuthorizationConfiguration, instead of the other flags for authorization. It is read at the start.")
	fs.StringVar(&f.webhookConfigFile, webhookConfigFlag, f.webhookConfigFile,
		"Kubeconfig of the server that the mode Webhook asks.")
	fs.StringVar(&f.webhookVersion, "authorization-webhook-version", f.webhookVersion,
		"Version of the SubjectAccessReviews that it is sent: v1 or v1beta1.")
	fs.DurationVar(&f.allowedTTL, "authorization-webhook-cache-authorized-ttl", f.allowedTTL,
		"How long it is remembered that the webhook allowed something.")
	fs.DurationVar(&f.refusedTTL, "authorization-webhook-cache-unauthorized-ttl", f.refusedTTL,
		"How long it is remembered that the webhook did not allow something.")
}

// replaceable reports whether a flag was given that the file of --authorization-config replaces.
func (f *authorizationFlags) replaceable() bool {
	given := false
	if f.flags != nil {
		f.flags.VisitAll(func(flag *pflag.Flag) {
			given = given || flag.Changed && (flag.Name == modeFlag || strings.HasPrefix(flag.Name, "authorization-webhook-"))
		})
	}
	return given
}

// authorizers returns the authorizers that the flags name, in their order. A server that other machines can reach allows
// everything to everybody only if AlwaysAllow is given twice.
func (f *authorizationFlags) authorizers(address net.IP) ([]apiserverconfig.AuthorizerConfiguration, error) {
	config, err := f.read()
	if err != nil {
		return nil, err
	}
	var kept []apiserverconfig.AuthorizerConfiguration
	allowing := 0
	for _, a := range config.Authorizers {
		if a.Type == authz.ModeAlwaysAllow {
			if allowing++; allowing > 1 {
				continue
			}
		}
		kept = append(kept, a)
	}
	config.Authorizers = kept
	if !address.IsLoopback() && allowing == 1 {
		return nil, errors.New("the authorization mode AlwaysAllow lets everybody who reaches the server do everything, and others can reach it: " +
			"leave --bind-address at a loopback address, or say it twice: --authorization-mode=AlwaysAllow,AlwaysAllow")
	}
	errs := configvalidation.ValidateAuthorizationConfiguration(authorizationcel.NewDefaultCompiler(), nil, config,
		sets.New(authz.Modes...), sets.New(authz.ModeWebhook))
	for i, a := range config.Authorizers {
		if a.Webhook != nil && a.Webhook.ConnectionInfo.Type == apiserverconfig.AuthorizationWebhookConnectionInfoTypeInCluster {
			errs = append(errs, field.NotSupported(field.NewPath("authorizers").Index(i).Child("connectionInfo", "type"),
				a.Webhook.ConnectionInfo.Type, []string{apiserverconfig.AuthorizationWebhookConnectionInfoTypeKubeConfigFile}))
		}
	}
	if f.configFile != "" && len(errs) > 0 {
		return nil, fileError(configFlag, f.configFile, errs.ToAggregate())
	}
	return config.Authorizers, errs.ToAggregate()
}

// read returns the configuration in the file or, without a file, that of the other flags.
func (f *authorizationFlags) read() (*apiserverconfig.AuthorizationConfiguration, error) {
	if f.configFile != "" {
		if f.replaceable() {
			return nil, fmt.Errorf("--%s can not be specified when --%s or --authorization-webhook-* flags are defined", configFlag, modeFlag)
		}
		if err := checkFile(f.configFile, checkObject); err != nil {
			return nil, fileError(configFlag, f.configFile, err)
		}
		config, err := load.LoadFromFile(f.configFile)
		if err != nil {
			return nil, fileError(configFlag, f.configFile, err)
		}
		return config, nil
	}
	config := &apiserverconfig.AuthorizationConfiguration{}
	for _, mode := range f.modes {
		a := apiserverconfig.AuthorizerConfiguration{Type: apiserverconfig.AuthorizerType(mode), Name: strings.ToLower(mode)}
		switch mode {
		case "ABAC":
			return nil, errors.New("authorization mode ABAC is not supported: its policy file can be written as roles and bindings")
		case authz.ModeWebhook:
			if f.webhookConfigFile == "" {
				return nil, errors.New("authorization-mode Webhook's authorization config file not passed")
			}
			file, err := filepath.Abs(f.webhookConfigFile)
			if err != nil {
				return nil, err
			}
			a.Webhook = f.webhook(file)
		}
		config.Authorizers = append(config.Authorizers, a)
	}
	if f.webhookConfigFile != "" && !slices.Contains(f.modes, authz.ModeWebhook) {
		return nil, errors.New("cannot specify --authorization-webhook-config-file without mode Webhook")
	}
	return config, nil
}

func (f *authorizationFlags) webhook(file string) *apiserverconfig.WebhookConfiguration {
	return &apiserverconfig.WebhookConfiguration{
		AuthorizedTTL:              metav1.Duration{Duration: f.allowedTTL},
		CacheAuthorizedRequests:    true,
		UnauthorizedTTL:            metav1.Duration{Duration: f.refusedTTL},
		CacheUnauthorizedRequests:  true,
		Timeout:                    metav1.Duration{Duration: webhookTimeout},
		SubjectAccessReviewVersion: f.webhookVersion,
		FailurePolicy:              apiserverconfig.FailurePolicyNoOpinion,
		ConnectionInfo: apiserverconfig.WebhookConnectionInfo{
			Type:           apiserverconfig.AuthorizationWebhookConnectionInfoTypeKubeConfigFile,
			KubeConfigFile: &file,
		},
	}
}
