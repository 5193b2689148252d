// Package options reads the flags of "mintmark serve" into the validated configuration of a server. Flags that
// kube-apiserver has keep its names and meaning.
package options

import (
	"errors"
	"net"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/controller"
)

const (
	// DefaultDataDir is where a server keeps its state unless told otherwise.
	DefaultDataDir = "./mintmark-data"
	// DefaultPort is the port that it listens on.
	DefaultPort = 7443
	// defaultMaxStaleness leaves time for a leader to be elected, and for a balancer to notice a server that is cut off.
	defaultMaxStaleness = 30 * time.Second
	// defaultEventTTL is kube-apiserver's.
	defaultEventTTL = time.Hour
	// DefaultEtcdPrefix is the key under which everything is stored in etcd.
	DefaultEtcdPrefix = "/mintmark"
)

// Options holds the values of the flags. New makes it; the zero value can't be used.
type Options struct {
	config apiserver.Config
	// controllers is the list that controller.Select reads.
	controllers []string
	// authorization and admission hold their flags.
	authorization authorizationFlags
	admission     admissionFlags
	// signer holds the flags about external signers.
	signer signerFlags
	// issuer is the one OpenID Connect issuer that flags can describe.
	issuer issuerFlags
	// tokenCache bounds the memory of each cache of tokens.
	tokenCache resource.QuantityValue
	// privateIssuers are the networks of --allow-private-issuers.
	privateIssuers []string
	// anonymous is the flag --anonymous-auth, which excludes the field of that name in the file of --authentication-config.
	anonymous *pflag.Flag
	ephemeral ephemeralFlags
}

// New returns the options with the values that they have without flags. This is the one place for defaults: flags are
// added with the value that their field has.
func New() *Options {
	storage := storagebackend.NewDefaultConfig(DefaultEtcdPrefix, nil)
	o := &Options{
		controllers:   []string{"*"},
		tokenCache:    resource.QuantityValue{Quantity: resource.MustParse("16Mi")},
		issuer:        newIssuerFlags(),
		signer:        signerFlags{mode: socketMode},
		authorization: newAuthorizationFlags(),
		config: apiserver.Config{
			DataDir:        DefaultDataDir,
			FastPath:       true,
			ShedLoad:       true,
			Server:         genericoptions.NewServerRunOptions(),
			Serving:        genericoptions.NewSecureServingOptions(),
			MaxStaleness:   defaultMaxStaleness,
			Storage:        genericoptions.NewEtcdOptions(storage),
			EventTTL:       defaultEventTTL,
			Audit:          genericoptions.NewAuditOptions(),
			Tracing:        genericoptions.NewTracingOptions(),
			Tokens:         apiserver.Tokens{Lookup: true, SigningKeyLead: defaultSigningKeyLead},
			ClusterSigning: apiserver.ClusterSigning{Duration: defaultCertificateLife},
			Authentication: apiserver.Authentication{
				Anonymous:       true,
				BootstrapTokens: true,
				PublicIssuer:    true,
				Webhook:         authn.WebhookConfig{Version: "v1beta1", CacheTTL: 2 * time.Minute},
			},
		},
	}
	o.config.Serving.BindAddress = net.IPv4(127, 0, 0, 1)
	o.config.Serving.BindPort = DefaultPort
	o.config.Serving.Required = false
	// Certificates are made by the data directory, for the library not to.
	o.config.Serving.ServerCert.CertDirectory, o.config.Serving.ServerCert.PairName = "", ""
	o.config.Storage.DefaultStorageMediaType = runtime.ContentTypeProtobuf
	// What decisions need is in memory already; the rest is asked for too rarely to be held there a second time.
	o.config.Storage.EnableWatchCache = false
	// Events are many and short-lived, so kube-apiserver doesn't hold them in memory, either.
	o.config.Storage.WatchCacheSizes = []string{"events#0"}
	return o
}

// Flags returns the flags in groups, for help to show them so.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var groups cliflag.NamedFlagSets
	o.addTokenFlags(groups.FlagSet("tokens"))
	o.addKeyFlags(groups.FlagSet("tokens"))
	o.signer.add(groups.FlagSet("tokens"))
	o.addAuthenticationFlags(groups.FlagSet("authentication"))
	o.authorization.add(groups.FlagSet("authorization"))
	o.admission.add(groups.FlagSet("authorization"))
	o.issuer.add(groups.FlagSet("authentication"))
	addClusterSigningFlags(&o.config.ClusterSigning, groups.FlagSet("certificates"))
	pick(groups.FlagSet("serving"), o.config.Serving.AddFlags, "bind-address", "secure-port", "tls-cert-file", "tls-private-key-file", "tls-cipher-suites",
		"tls-min-version", "tls-curve-preferences", "tls-sni-cert-key",
		"http2-max-streams-per-connection", "permit-port-sharing", "permit-address-sharing", "disable-http2-serving")
	o.addServerFlags(groups.FlagSet("server"))
	o.addEphemeralFlags(groups.FlagSet("testing"), groups.FlagSet("server"), groups.FlagSet("serving"))
	o.addStorageFlags(groups.FlagSet("storage"))
	o.config.Audit.AddFlags(groups.FlagSet("audit"))
	o.config.Tracing.AddFlags(groups.FlagSet("tracing"))
	return groups
}

func (o *Options) addTokenFlags(fs *pflag.FlagSet) {
	t := &o.config.Tokens
	fs.StringArrayVar(&t.Issuers, "service-account-issuer", t.Issuers,
		"Issuer of service account tokens. May be given several times: the first issues, all are accepted. The first start of a store fixes the first one. Default: the fixed one, at the first start the URL of this server.")
	fs.BoolVar(&t.ChangeIssuer, "change-service-account-issuer", t.ChangeIssuer,
		"Let the first --service-account-issuer take the place of another issuer that the store has from its first start. Give the former one behind it for as long as its tokens are to be accepted.")
	fs.StringSliceVar(&t.APIAudiences, "api-audiences", t.APIAudiences,
		"Audiences of this server: those of tokens requested without any. Default: the issuers.")
	fs.StringVar(&t.SigningKeyFile, "service-account-signing-key-file", t.SigningKeyFile,
		"PEM file of the private key that signs tokens: RSA of at least 2048 bits, or ECDSA on P-256, P-384 or P-521. It is read again when it changes; while it or the files of --service-account-key-file can't be used, the keys that were read before hold on. Default: keys that the server manages, in its store.")
	fs.StringArrayVar(&t.KeyFiles, "service-account-key-file", t.KeyFiles,
		"PEM file of keys whose tokens are accepted and which are published: public keys, certificates or private keys. May be given several times; read again when they change. Default: the signing key.")
	fs.StringVar(&t.JWKSURI, "service-account-jwks-uri", t.JWKSURI,
		"https URL that the discovery document names as the place of the key set. Default: this server.")
	fs.BoolVar(&t.Lookup, "service-account-lookup", t.Lookup,
		"Compare tokens that live in secrets with their secret. Other service account tokens are always looked up.")
	fs.DurationVar(&t.MaxExpiration, "service-account-max-token-expiration", t.MaxExpiration,
		"Longest life of a token. A request for more is shortened, with a warning. 0 means no limit.")
	fs.BoolVar(&t.ExtendExpiration, "service-account-extend-token-expiration", t.ExtendExpiration,
		"Let the tokens that pods mount live for a year, for clients that never read them again. kube-apiserver's default is true.")
	fs.BoolVar(&o.config.Authentication.PublicIssuer, "anonymous-issuer-discovery", o.config.Authentication.PublicIssuer,
		"Let everybody read the issuer's documents: relying parties are strangers, and keys are public. With false, as in kube-apiserver, only service accounts may.")
}

func (o *Options) addServerFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.config.DataDir, "data-dir", o.config.DataDir,
		"Directory of the embedded store, the certificates and the keys.")
	fs.StringSliceVar(&o.controllers, "controllers", o.controllers,
		"Controllers that run in the process. '*' is all of them, 'foo' adds the one of that name, '-foo' leaves it out; an empty list is none.")
	fs.BoolVar(&o.config.OpenShift, "openshift-api", o.config.OpenShift,
		"Serve OpenShift's API as well: users and groups (user.openshift.io), clients and access tokens (oauth.openshift.io). Off by default: what is not served can't be misused.")
	fs.BoolVar(&o.config.FastPath, "fast-path", o.config.FastPath,
		"Answer token reviews and token requests in their common shape on a short path of their own. With false all requests take the long one: the answers are the same, and cost several times as much.")
	fs.BoolVar(&o.config.ShedLoad, "shed-load", o.config.ShedLoad,
		"While there are more requests than the processors can answer, answer those of all callers in turn, and send those away with 429 that would wait too long. With false they all wait, however long.")
	fs.DurationVar(&o.config.IdleWindow, "accesstoken-inactivity-timeout", o.config.IdleWindow,
		"How long an access token of OpenShift may go unused, at least 5m; 0 means for ever. An OAuthClient may say otherwise for its tokens, and each use of a token counts anew.")
	pick(fs, o.config.Server.AddUniversalFlags, "advertise-address", "external-hostname", "cors-allowed-origins",
		"strict-transport-security-directives", "max-requests-inflight", "max-mutating-requests-inflight", "request-timeout",
		"min-request-timeout", "goaway-chance", "livez-grace-period", "shutdown-delay-duration", "shutdown-send-retry-after",
		"shutdown-watch-termination-grace-period")
}

func (o *Options) addStorageFlags(fs *pflag.FlagSet) {
	pick(fs, o.config.Storage.AddFlags, "etcd-servers", "etcd-prefix", "etcd-keyfile", "etcd-certfile", "etcd-cafile", "etcd-compaction-interval",
		"etcd-healthcheck-timeout", "etcd-readycheck-timeout", "encryption-provider-config",
		"encryption-provider-config-automatic-reload", "storage-media-type", "watch-cache")
	fs.DurationVar(&o.config.EventTTL, "event-ttl", o.config.EventTTL,
		"How long events are kept after they were written last. 0 means for ever.")
	fs.DurationVar(&o.config.MaxStaleness, "max-staleness", o.config.MaxStaleness,
		"How old what is in memory may be for a request to be answered from it, while the store can't be reached or watched. Older, "+
			"the store is asked, and where it does not answer neither does the server (503). 0 means any age: a server that is cut off goes on accepting tokens that have been taken back. It issues tokens for half a minute then, since it can't tell whether its signing key was given up.")
}

// Config validates the flags and returns the server's configuration.
func (o *Options) Config() (apiserver.Config, error) {
	var errs []error
	if err := o.config.Server.ComponentGlobalsRegistry.Set(); err != nil {
		errs = append(errs, err)
	}
	selected, err := controller.Select(o.controllers)
	if err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, o.validate()...)
	errs = append(errs, o.validateFiles()...)
	errs = append(errs, o.validateEphemeral()...)
	authorizers, err := o.authorization.authorizers(o.config.Serving.BindAddress)
	if err != nil {
		errs = append(errs, err)
	} else {
		errs = append(errs, o.authorization.checkWebhooks(authorizers)...)
	}
	restricted, err := o.admission.nodeRestriction()
	if err != nil {
		errs = append(errs, err)
	}
	host, err := externalHost(&o.config)
	if err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return apiserver.Config{}, err
	}
	o.applyEphemeral()
	cfg := o.config
	server := *o.config.Server
	server.ExternalHost = host
	cfg.Server = &server
	cfg.Controllers = selected
	cfg.Authentication.CacheBytes = int(o.tokenCache.Value())
	cfg.Authorizers, cfg.NodeRestriction = authorizers, restricted
	o.signer.apply(&cfg)
	if o.issuer.given() {
		cfg.Authentication.IssuerAlgorithms = o.issuer.algorithms
		if cfg.Authentication.Issuers, err = o.issuer.configuration(); err != nil {
			return apiserver.Config{}, err
		}
	}
	return cfg, nil
}

// Bounds of --service-account-max-token-expiration.
const (
	minMaxTokenExpiration = time.Hour
	maxMaxTokenExpiration = time.Duration(1<<32) * time.Second
)
