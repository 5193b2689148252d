// Package apiserver builds and runs the server: New puts store, keys, authentication, authorization, API groups, transports
// and controllers together, and Run serves until its context ends. No other package does so.
package apiserver

import (
	"io/fs"
	"net/http"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/testclock"
	"github.com/mintmark/mintmark/internal/unixsocket"
)

// Config is what a server is built from. It has been validated: see the options package.
type Config struct {
	// DataDir holds certificates, keys and the embedded store.
	DataDir string
	// Controllers are the controllers that run in the process, by name.
	Controllers sets.Set[string]

	// FastPath has requests in their common shape answered without the library's chain of handlers.
	FastPath bool

	// ShedLoad has requests take turns while there are more than the processors can answer, and sheds those that would wait too
	// long, if the process is nothing but this server: OwnProcess.
	ShedLoad, OwnProcess bool

	// TuneGarbage sets the pace of the garbage collector by the size of the heap. It is for a process that is nothing but
	// this server.
	TuneGarbage bool

	// Ephemeral has nothing of the store outlive the process, for tests. The data directory is a temporary one, which the
	// caller removes.
	Ephemeral bool
	// Clock is the clock by which tokens, keys and the other stored objects live; nil means the machine's. Certificates live by
	// the machine's in any case, since clients check them by that.
	Clock *testclock.Clock
	// Intercept stands in front of all that answers requests, for tests; nil is nothing.
	Intercept func(http.Handler) http.Handler

	Server  *genericoptions.ServerRunOptions
	Serving *genericoptions.SecureServingOptions
	// MaxStaleness is how old what is in memory may be for an answer to be taken from it; older, it is proved by the store
	// first. 0 means any age.
	MaxStaleness time.Duration
	// Storage names the servers of an external etcd; without any the embedded one runs.
	Storage *genericoptions.EtcdOptions
	// EventTTL is how long an event is kept after it was written last; 0 is for ever.
	EventTTL time.Duration
	Audit    *genericoptions.AuditOptions
	Tracing  *genericoptions.TracingOptions

	Tokens         Tokens
	ExternalSigner ExternalSigner
	Authentication Authentication
	ClusterSigning ClusterSigning
	// Authorizers are asked in this order.
	Authorizers []apiserverapi.AuthorizerConfiguration
	// NodeRestriction holds nodes to what concerns their own pods.
	NodeRestriction bool
	// OpenShift serves OpenShift's API groups as well: oauth.openshift.io and user.openshift.io.
	OpenShift bool
	// IdleWindow is how long an access token of OpenShift may go unused if its client says nothing; 0 is for ever.
	IdleWindow time.Duration
}

// Tokens says how service account tokens are issued and which are accepted.
type Tokens struct {
	// Issuers are those whose tokens are accepted; the first issues. Without any, the one that the store had from its first start
	// issues: by then, without any, the server's own URL.
	Issuers []string
	// ChangeIssuer lets the first of them take the place of the one that the store had.
	ChangeIssuer bool
	// APIAudiences are the audiences of this server. Without any, they are the issuers.
	APIAudiences []string
	// SigningKeyFile holds the private key that signs. Without one, keys are in the store.
	SigningKeyFile string
	// SigningEndpoint is the socket of the external signer that signs instead of keys of this server; empty means none.
	SigningEndpoint unixsocket.Address
	// KeyFiles hold the keys whose tokens are accepted. Without any, it is the signing key alone.
	KeyFiles []string
	// SigningKeyLead is how long a key in the store is published before it signs.
	SigningKeyLead time.Duration
	// SigningKeyRotation is how long a key in the store signs before the next one takes over; 0 means until a command makes one.
	SigningKeyRotation time.Duration
	// AudienceAlgorithms say with which algorithm the tokens for an audience are signed.
	AudienceAlgorithms map[string]string
	// JWKSURI is the URL of the key set in the discovery document; empty means the one at this server.
	JWKSURI string
	// Lookup has legacy tokens compared with their secrets.
	Lookup bool
	// MaxExpiration shortens what is asked for; 0 means no limit.
	MaxExpiration time.Duration
	// MinExpiration is the shortest life that may be asked for; 0 means ten minutes, as in kube-apiserver.
	MinExpiration time.Duration
	// ExtendExpiration has tokens that pods mount live for a year.
	ExtendExpiration bool
}

// ExternalSigner says where this server signs for others on the same machine.
type ExternalSigner struct {
	// Listen is the socket; empty means that it doesn't.
	Listen unixsocket.Address
	// Mode is that of the socket's file.
	Mode fs.FileMode
	// AllowedUIDs may use the socket besides root and the user of the server.
	AllowedUIDs []int
}

// ClusterSigning says how certificates are signed for CertificateSigningRequests.
type ClusterSigning struct {
	// CertFile and KeyFile hold the authority that signs. Without them, the authority of the identity does.
	CertFile, KeyFile string
	// Duration is how long a certificate lives at most, and without a wish in the request.
	Duration time.Duration
}

// Authentication says whose requests are let in.
type Authentication struct {
	// ClientCAFile is a PEM bundle of further authorities whose client certificates are accepted.
	ClientCAFile string
	// TokenFile is a CSV file of static tokens.
	TokenFile string
	// BootstrapTokens accepts bootstrap tokens.
	BootstrapTokens bool
	// RequestHeader says which proxies may name the user in headers.
	RequestHeader genericoptions.RequestHeaderAuthenticationOptions
	// ConfigurationFile describes OpenID Connect issuers, and who may be anonymous where. It is read again when it changes.
	ConfigurationFile string
	// Issuers are used without such a file; nil means that there are none.
	Issuers *apiserverapi.AuthenticationConfiguration
	// IssuerAlgorithms may sign the tokens of these; nil means any that is asymmetric.
	IssuerAlgorithms []string
	// PrivateIssuers are the networks, apart from public addresses, in which TrustedIssuers may have servers called.
	PrivateIssuers []netip.Prefix
	// Webhook is asked about tokens that no other authenticator knows.
	Webhook authn.WebhookConfig
	// CacheBytes bounds the memory of each of three caches: verified signatures of service account tokens, verdicts of the
	// issuers, and verdicts of the webhook. 0 means cache.DefaultBytes.
	CacheBytes int
	// Anonymous lets in requests without credentials, as system:anonymous.
	Anonymous bool
	// PublicIssuer lets everybody read the issuer's documents.
	PublicIssuer bool
}
