package options

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"

	"github.com/mintmark/mintmark/internal/authz"
)

const (
	modeFlag   = "authorization-mode"
	configFlag = "authorization-config"
)

func (o *Options) addAuthorizationFlags(fs *pflag.FlagSet) {
	z := &o.authorization
	fs.StringSliceVar(&z.Modes, modeFlag, z.Modes,
		"Ordered list of who is asked what a request may do: "+strings.Join(authz.Modes, ", ")+". Where others can reach the server, AlwaysAllow must be said twice.")
	fs.StringVar(&z.ConfigFile, configFlag, "",
		"File with an AuthorizationConfiguration, instead of the other flags for authorization. It is read at the start.")
	fs.StringVar(&z.WebhookConfigFile, "authorization-webhook-config-file", "",
		"Kubeconfig of the server that the mode Webhook asks.")
	fs.StringVar(&z.WebhookVersion, "authorization-webhook-version", z.WebhookVersion,
		"Version of the SubjectAccessReviews that it is sent: v1 or v1beta1.")
	fs.DurationVar(&z.AllowedTTL, "authorization-webhook-cache-authorized-ttl", z.AllowedTTL,
		"How long it is remembered that the webhook allowed something.")
	fs.DurationVar(&z.RefusedTTL, "authorization-webhook-cache-unauthorized-ttl", z.RefusedTTL,
		"How long it is remembered that the webhook did not allow something.")
	fs.StringSliceVar(&o.admission, "enable-admission-plugins", nil,
		"Admission plugins besides NamespaceLifecycle, which is always on: "+nodeRestriction+", which holds nodes to their own pods.")
}

// authorizers reads the flags for authorization.
func (o *Options) authorizers() ([]apiserverconfig.AuthorizerConfiguration, error) {
	z := o.authorization
	defaults := authz.DefaultFlags()
	if z.ConfigFile != "" {
		others := z
		others.ConfigFile = ""
		if !slices.Equal(others.Modes, defaults.Modes) || others.WebhookConfigFile != defaults.WebhookConfigFile ||
			others.WebhookVersion != defaults.WebhookVersion || others.AllowedTTL != defaults.AllowedTTL || others.RefusedTTL != defaults.RefusedTTL {
			return nil, fmt.Errorf("--%s can not be specified when --%s or --authorization-webhook-* flags are defined", configFlag, modeFlag)
		}
	}
	return z.Authorizers(exposed(o.config.Serving.BindAddress))
}

// exposed reports whether others than this machine can reach a server that listens on an address.
func exposed(address net.IP) bool { return !address.IsLoopback() }

const (
	namespaceLifecycle = "NamespaceLifecycle"
	nodeRestriction    = "NodeRestriction"
)

// nodeRestriction reads the list of admission plugins.
func (o *Options) nodeRestriction() (bool, error) {
	enabled := false
	for _, name := range o.admission {
		switch name {
		case namespaceLifecycle:
		case nodeRestriction:
			enabled = true
		default:
			return false, fmt.Errorf("enable-admission-plugins plugin %q is unknown: the plugins are %s and %s", name, namespaceLifecycle, nodeRestriction)
		}
	}
	return enabled, nil
}
