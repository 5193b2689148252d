// Package authn provides the union of all authenticators. It tells who makes a request, and whose a reviewed token is.
//
// The order is kube-apiserver's (pkg/kubeapiserver/authenticator): request headers of a front proxy, client certificates,
// then tokens. Tokens are tried as static tokens, service account tokens, bootstrap tokens, OpenID Connect tokens, tokens of
// trusted issuers, OpenShift's access tokens, and at last by a webhook. An error is no reason not to ask the next authenticator, except
// that a token which an authenticator knows and refuses is refused for good.
package authn

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	requestunion "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"

	"github.com/mintmark/mintmark/internal/audittrail"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

// Config says which authenticators there are. A zero field means that there is no such one.
type Config struct {
	// APIAudiences are those of this server: the audiences of every credential that names none.
	APIAudiences authenticator.Audiences
	// Internal authenticates the server's own components. It is asked first.
	Internal authenticator.Request
	// RequestHeader says which proxies may name the user, and in which headers.
	RequestHeader *authenticatorfactory.RequestHeaderConfig
	// ClientCA verifies client certificates.
	ClientCA ClientCA
	// TokenFile is a CSV file of tokens: token, user name, user uid and, optionally, groups.
	TokenFile string
	// ServiceAccounts authenticates service account tokens.
	ServiceAccounts authenticator.Token
	// BootstrapTokens is the view of the secrets that hold bootstrap tokens.
	BootstrapTokens *view.View[boundobject.Secret]
	// Issuers are the OpenID Connect issuers whose tokens are accepted.
	Issuers IssuersConfig
	// TrustedIssuers authenticates the tokens of the issuers that objects name; nil if there are none.
	TrustedIssuers TrustedIssuers
	// AccessTokens authenticates OpenShift's access tokens.
	AccessTokens authenticator.Token
	// Webhook is asked about tokens that no authenticator here knows.
	Webhook WebhookConfig
	// Audited has the audit events of callers with tokens name the credential.
	Audited bool
	// Revocations knows the tokens and client certificates that were taken back; nil if none are.
	Revocations Revocations
	// Signer tells when client certificates were issued.
	Signer Signer
	// Anonymous lets in requests without credentials, on the paths that it names, or everywhere. The configuration file of
	// Issuers takes precedence.
	Anonymous apiserver.AnonymousAuthConfig
	// Now is the clock of bootstrap tokens; nil means time.Now.
	Now func() time.Time
}

// TrustedIssuers authenticates the tokens of the issuers that objects name.
type TrustedIssuers interface {
	authenticator.Token
	Explainer
	// Knows reports whether a token names one of the issuers, which then alone decides about it.
	Knows(ctx context.Context, token string) bool
}

// Union holds the joined authenticators.
type Union struct {
	// Requests tells who makes a request.
	Requests authenticator.Request
	// Tokens tells whose a token is. It is the part of Requests that a review of a token can reach.
	Tokens authenticator.Token

	issuers *issuers
	trusted TrustedIssuers
}

// New joins the authenticators. Close ends their background work.
func New(cfg Config) (_ *Union, err error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	known, err := newIssuers(cfg.Issuers)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			known.Close()
		}
	}()
	tokens, err := newTokens(cfg, known)
	if err != nil {
		return nil, err
	}
	var requests []authenticator.Request
	if proxy := cfg.RequestHeader; proxy != nil {
		headers := authenticator.WrapAudienceAgnosticRequest(cfg.APIAudiences, headerrequest.NewDynamicVerifyOptionsSecure(
			proxy.CAContentProvider.VerifyOptions, proxy.AllowedClientNames,
			proxy.UsernameHeaders, proxy.UIDHeaders, proxy.GroupHeaders, proxy.ExtraHeaderPrefixes))
		requests = append(requests, named(withReason(unrevokedProxy{headers, cfg.Revocations, cfg.Signer}, reason.CertificateRefused)))
	}
	if cfg.ClientCA != nil {
		requests = append(requests, named(withReason(newCertificates(cfg.ClientCA, cfg.Revocations, cfg.Signer), reason.CertificateRefused)))
	}
	presented := authenticator.Token(tokens)
	if cfg.Audited {
		presented = audittrail.Presented{Token: tokens}
	}
	requests = append(requests, bearertoken.New(presented), websocket.NewProtocolAuthenticator(presented))
	// A request with wrong credentials is refused; it doesn't become anonymous.
	callers := []authenticator.Request{group.NewAuthenticatedGroupAdder(requestunion.New(requests...))}
	everybody := cfg.Anonymous
	if inFile := known.anonymous; inFile != nil {
		everybody = *inFile
	}
	if everybody.Enabled {
		callers = append(callers, anonymous.NewAuthenticator(everybody.Conditions))
	}
	union := requestunion.NewFailOnError(callers...)
	if cfg.Internal != nil {
		union = requestunion.New(cfg.Internal, union)
	}
	return &Union{Requests: union, Tokens: withAuthenticatedGroup{tokens}, issuers: known, trusted: cfg.TrustedIssuers}, nil
}

// Knows reports whether a token names one of the OpenID Connect issuers or a trusted one, which then alone decide about it.
func (u *Union) Knows(ctx context.Context, token string) bool {
	return u.issuers.knows(ctx, token) || u.trusted != nil && u.trusted.Knows(ctx, token)
}

// Configured reports whether the flags or the configuration file name an issuer.
func (u *Union) Configured(issuer string) bool {
	_, ok := u.issuers.current.Load().byIssuer[issuer]
	return ok
}

// Run reads the configuration file again whenever it changes, until the context ends.
func (u *Union) Run(ctx context.Context) { u.issuers.Run(ctx) }

// Close ends the background work of the authenticators.
func (u *Union) Close() { u.issuers.Close() }

// newTokens joins the authenticators of tokens. Authenticators without a notion of audiences are asked for this server's
// audiences only.
func newTokens(cfg Config, known *issuers) (chain, error) {
	var tokens []authenticator.Token
	add := func(name string, t authenticator.Token, knows func(context.Context, string) bool) {
		tokens = append(tokens, unaware{name: name, audiences: cfg.APIAudiences, tokens: t, knows: knows})
	}
	if cfg.TokenFile != "" {
		static, err := readTokenFile(cfg.TokenFile)
		if err != nil {
			return chain{}, fmt.Errorf("--token-auth-file: %w", err)
		}
		add("StaticToken", static, decides(static))
	}
	if cfg.ServiceAccounts != nil {
		tokens = append(tokens, cfg.ServiceAccounts)
	}
	if cfg.BootstrapTokens != nil {
		bootstrap := bootstrapTokens{secrets: cfg.BootstrapTokens, now: cfg.Now}
		add("BootstrapToken", bootstrap, decides(bootstrap))
	}
	add("OpenIDConnect", known, known.knows)
	// After the configuration: an issuer in both places is the configuration's.
	if cfg.TrustedIssuers != nil {
		tokens = append(tokens, cfg.TrustedIssuers)
	}
	// In OpenShift a webhook authenticates access tokens, so their place is just before the webhook.
	if cfg.AccessTokens != nil {
		tokens = append(tokens, cfg.AccessTokens)
	}
	all := chain{here: tokens, revoked: cfg.Revocations}
	if cfg.Webhook.KubeconfigFile != "" {
		remote, err := newWebhook(cfg.Webhook, cfg.APIAudiences)
		if err != nil {
			return chain{}, err
		}
		all.remote = remote
	}
	return all, nil
}
