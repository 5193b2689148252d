package authz

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/load"
	configvalidation "k8s.io/apiserver/pkg/apis/apiserver/validation"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
)

// The modes, as --authorization-mode and the type of an authorizer in the configuration file name them.
const (
	ModeAlwaysAllow = "AlwaysAllow"
	ModeAlwaysDeny  = "AlwaysDeny"
	ModeNode        = "Node"
	ModeRBAC        = "RBAC"
	ModeWebhook     = string(apiserverconfig.TypeWebhook)
)

// Modes are all of them.
var Modes = []string{ModeAlwaysAllow, ModeAlwaysDeny, ModeNode, ModeRBAC, ModeWebhook}

// Flags is what the flags say of the authorizers. They say it as kube-apiserver's do.
type Flags struct {
	// Modes are asked in this order.
	Modes []string
	// ConfigFile, if there is one, says it all instead.
	ConfigFile string
	// WebhookConfigFile is the kubeconfig of the webhook.
	WebhookConfigFile string
	// WebhookVersion is the version of the SubjectAccessReviews that it is sent.
	WebhookVersion string
	// AllowedTTL and RefusedTTL are how long its answers are remembered.
	AllowedTTL, RefusedTTL time.Duration
}

// DefaultFlags are the flags if none is given.
func DefaultFlags() Flags {
	return Flags{Modes: []string{ModeRBAC}, WebhookVersion: "v1beta1", AllowedTTL: 5 * time.Minute, RefusedTTL: 30 * time.Second}
}

// Authorizers returns the authorizers that the flags name, in their order. exposed says that the server can be reached
// from other machines: then whoever wants everything to be allowed must say so twice, as AlwaysAllow,AlwaysAllow.
func (f *Flags) Authorizers(exposed bool) ([]apiserverconfig.AuthorizerConfiguration, error) {
	config, err := f.read()
	if err != nil {
		return nil, err
	}
	allowing := 0
	config.Authorizers = deleteRepeated(config.Authorizers, &allowing)
	if exposed && allowing == 1 {
		return nil, errors.New("the authorization mode AlwaysAllow lets everybody who reaches the server do everything, and others can reach it: " +
			"leave --bind-address at a loopback address, or say it twice: --authorization-mode=AlwaysAllow,AlwaysAllow")
	}
	errs := configvalidation.ValidateAuthorizationConfiguration(authorizationcel.NewDefaultCompiler(), nil, config,
		sets.New(Modes...), sets.New(ModeWebhook))
	for i, a := range config.Authorizers {
		if a.Webhook != nil && a.Webhook.ConnectionInfo.Type == apiserverconfig.AuthorizationWebhookConnectionInfoTypeInCluster {
			errs = append(errs, field.NotSupported(field.NewPath("authorizers").Index(i).Child("connectionInfo", "type"),
				a.Webhook.ConnectionInfo.Type, []string{apiserverconfig.AuthorizationWebhookConnectionInfoTypeKubeConfigFile}))
		}
	}
	return config.Authorizers, errs.ToAggregate()
}

// deleteRepeated leaves one AlwaysAllow and counts how many there were.
func deleteRepeated(list []apiserverconfig.AuthorizerConfiguration, allowing *int) []apiserverconfig.AuthorizerConfiguration {
	var kept []apiserverconfig.AuthorizerConfiguration
	for _, a := range list {
		if a.Type == ModeAlwaysAllow {
			if *allowing++; *allowing > 1 {
				continue
			}
		}
		kept = append(kept, a)
	}
	return kept
}

func (f *Flags) read() (*apiserverconfig.AuthorizationConfiguration, error) {
	if f.ConfigFile != "" {
		config, err := load.LoadFromFile(f.ConfigFile)
		if err != nil {
			return nil, fmt.Errorf("--authorization-config: %w", err)
		}
		return config, nil
	}
	config := &apiserverconfig.AuthorizationConfiguration{}
	for _, mode := range f.Modes {
		a := apiserverconfig.AuthorizerConfiguration{Type: apiserverconfig.AuthorizerType(mode), Name: strings.ToLower(mode)}
		switch {
		case mode == "ABAC":
			return nil, errors.New("authorization mode ABAC is not supported: its policy file can be written as roles and bindings")
		case mode == ModeWebhook:
			if f.WebhookConfigFile == "" {
				return nil, errors.New("authorization-mode Webhook's authorization config file not passed")
			}
			file, err := filepath.Abs(f.WebhookConfigFile)
			if err != nil {
				return nil, err
			}
			a.Webhook = f.webhook(file)
		}
		config.Authorizers = append(config.Authorizers, a)
	}
	if f.WebhookConfigFile != "" && !sets.New(f.Modes...).Has(ModeWebhook) {
		return nil, errors.New("cannot specify --authorization-webhook-config-file without mode Webhook")
	}
	return config, nil
}

func (f *Flags) webhook(file string) *apiserverconfig.WebhookConfiguration {
	return &apiserverconfig.WebhookConfiguration{
		AuthorizedTTL:              metav1.Duration{Duration: f.AllowedTTL},
		CacheAuthorizedRequests:    true,
		UnauthorizedTTL:            metav1.Duration{Duration: f.RefusedTTL},
		CacheUnauthorizedRequests:  true,
		Timeout:                    metav1.Duration{Duration: 30 * time.Second},
		SubjectAccessReviewVersion: f.WebhookVersion,
		FailurePolicy:              apiserverconfig.FailurePolicyNoOpinion,
		ConnectionInfo: apiserverconfig.WebhookConnectionInfo{
			Type:           apiserverconfig.AuthorizationWebhookConnectionInfoTypeKubeConfigFile,
			KubeConfigFile: &file,
		},
	}
}
