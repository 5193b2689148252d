// Package authn joins the authenticators into one union, which decides who calls, and whose token is reviewed.
//
// The order, and what an error in one means for the next, is kube-apiserver's (pkg/kubeapiserver/authenticator).
package authn

import (
	"fmt"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	requestunion "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/informer"
)

// Config says which authenticators there are. A zero field means that there is no such one.
type Config struct {
	// APIAudiences are those of this server: the audiences of every credential that names none.
	APIAudiences authenticator.Audiences
	// Internal knows the server's own components. It is asked first.
	Internal authenticator.Request
	// ClientCA verifies client certificates.
	ClientCA x509.VerifyOptionFunc
	// TokenFile is a CSV file of tokens: token, user name, user uid and, optionally, groups.
	TokenFile string
	// ServiceAccounts knows service account tokens.
	ServiceAccounts authenticator.Token
	// BootstrapTokens are the secrets in which bootstrap tokens are looked for.
	BootstrapTokens *informer.Informer[boundobject.Secret]
	// Anonymous lets in requests without credentials.
	Anonymous bool
}

// Union is the authenticators, joined.
type Union struct {
	// Requests tells who makes a request.
	Requests authenticator.Request
	// Tokens tells whose a token is. It is the part of Requests that a review of a token can reach.
	Tokens authenticator.Token
}

// New joins the authenticators.
func New(cfg Config) (*Union, error) {
	tokens, err := newTokens(cfg)
	if err != nil {
		return nil, err
	}
	var requests []authenticator.Request
	if cfg.ClientCA != nil {
		requests = append(requests, x509.NewDynamic(cfg.ClientCA, x509.CommonNameUserConversion))
	}
	requests = append(requests, bearertoken.New(tokens), websocket.NewProtocolAuthenticator(tokens))
	// Credentials that are wrong end the matter: nobody becomes anonymous by them.
	callers := []authenticator.Request{group.NewAuthenticatedGroupAdder(requestunion.New(requests...))}
	if cfg.Anonymous {
		var everywhere []apiserver.AnonymousAuthCondition
		callers = append(callers, anonymous.NewAuthenticator(everywhere))
	}
	union := requestunion.NewFailOnError(callers...)
	if cfg.Internal != nil {
		union = requestunion.New(cfg.Internal, union)
	}
	return &Union{Requests: union, Tokens: withAuthenticatedGroup(tokens)}, nil
}

// newTokens joins the authenticators of tokens. Those that know nothing of audiences are asked only about this server's.
func newTokens(cfg Config) (authenticator.Token, error) {
	var tokens []authenticator.Token
	unaware := func(t authenticator.Token) {
		tokens = append(tokens, authenticator.WrapAudienceAgnosticToken(cfg.APIAudiences, t))
	}
	if cfg.TokenFile != "" {
		static, err := tokenfile.NewCSV(cfg.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-auth-file: %w", err)
		}
		unaware(static)
	}
	if cfg.ServiceAccounts != nil {
		tokens = append(tokens, cfg.ServiceAccounts)
	}
	if cfg.BootstrapTokens != nil {
		unaware(bootstrapTokens{secrets: cfg.BootstrapTokens})
	}
	return tokenunion.New(tokens...), nil
}
