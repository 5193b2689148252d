package authn

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	authenticationconfigmetrics "k8s.io/apiserver/pkg/server/options/authenticationconfig/metrics"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/internal/foreigntoken"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
)

// IssuersConfig names the OpenID Connect issuers whose tokens are accepted.
type IssuersConfig struct {
	// File is the configuration file (--authentication-config). It is read again when it changes.
	File string
	// Configuration is used without a file; nil means that there are no issuers.
	Configuration *apiserver.AuthenticationConfiguration
	// Algorithms that may sign; nil means every algorithm that the library allows.
	Algorithms []string
	// OwnIssuers are the issuers of service account tokens. They may not be configured here, too.
	OwnIssuers []string
	// ServerID tells this process from others in metrics.
	ServerID string
	// CacheBytes bounds the memory for verdicts about the tokens of all of them; 0 means 16 MiB.
	CacheBytes int
}

// issuers authenticates tokens of OpenID Connect issuers. The configuration can change while it runs.
type issuers struct {
	IssuersConfig
	compiler  authenticationcel.Compiler
	anonymous *apiserver.AnonymousAuthConfig // of the file; nil if it says nothing

	lifetime context.Context //nolint:containedctx // background work of authenticators goes on between calls
	end      context.CancelFunc
	current  atomic.Pointer[generation]

	tried []byte // content of the file that is in use, or can't be; of Run alone once it runs
}

// newIssuers reads the configuration. Discovery of the issuers begins at once, and goes on until Close.
func newIssuers(cfg IssuersConfig) (*issuers, error) {
	i := &issuers{IssuersConfig: cfg, compiler: authenticationcel.NewDefaultCompiler()}
	configuration := cfg.Configuration
	if cfg.File != "" {
		data, err := os.ReadFile(cfg.File)
		if err != nil {
			return nil, fmt.Errorf("--authentication-config: %w", err)
		}
		if configuration, err = parseConfiguration(data); err != nil {
			return nil, fmt.Errorf("--authentication-config: %w", err)
		}
		authenticationconfigmetrics.RegisterMetrics()
		authenticationconfigmetrics.RecordAuthenticationConfigLastConfigInfo(cfg.ServerID, string(data))
		i.tried = data
	}
	if configuration == nil {
		configuration = &apiserver.AuthenticationConfiguration{}
	}
	if err := validateConfiguration(i.compiler, configuration, cfg.OwnIssuers); err != nil {
		return nil, err
	}
	i.anonymous = configuration.Anonymous
	i.lifetime, i.end = context.WithCancel(context.Background())
	first, err := i.newGeneration(configuration)
	if err != nil {
		i.end()
		return nil, err
	}
	i.current.Store(first)
	return i, nil
}

// AuthenticateToken returns whose a token is. A token of another issuer, or of none, is left to other authenticators.
func (i *issuers) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	return answer(i.Explain(ctx, token, nil))
}

// Explain does the same.
func (i *issuers) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	return i.current.Load().Explain(ctx, token, notes)
}

// knows reports whether a token names one of the issuers.
func (i *issuers) knows(_ context.Context, token string) bool {
	_, ok := i.current.Load().find(token)
	return ok
}

// Close ends the background work of the authenticators.
func (i *issuers) Close() { i.end() }

// generation holds the issuers of one configuration.
type generation struct {
	byIssuer map[string]issuer
	digest   string // of the configuration
	end      context.CancelFunc
}

// issuer is one issuer: a cache in front of the library's authenticator.
type issuer struct {
	authenticator.Token
	// prefix is what stands before the claim in user names.
	prefix      string
	healthCheck func() error
}

// issuerTTL is how long the user of a token is cached, but never beyond the token's end. kube-apiserver caches every
// success that long.
const issuerTTL = 10 * time.Second

func (i *issuers) newGeneration(cfg *apiserver.AuthenticationConfiguration) (*generation, error) {
	ctx, end := context.WithCancel(i.lifetime)
	g := &generation{byIssuer: make(map[string]issuer, len(cfg.JWT)), digest: digestOf(cfg), end: end}
	// One bound for all issuers together: that there are many must not mean much memory.
	shared := newCacheStore(i.CacheBytes)
	for _, jwt := range cfg.JWT {
		client, err := outbound.NewClient(jwt.Issuer.CertificateAuthority, func(base http.RoundTripper) http.RoundTripper {
			return newRateLimited(newKeySets(base))
		})
		if err != nil {
			end()
			return nil, err
		}
		algorithms := i.Algorithms
		if algorithms == nil {
			algorithms = oidc.AllValidSigningAlgorithms()
		}
		known, err := oidc.New(ctx, oidc.Options{
			JWTAuthenticator:     jwt,
			Client:               client,
			Compiler:             i.compiler,
			SupportedSigningAlgs: algorithms,
			DisallowedIssuers:    i.OwnIssuers,
			APIServerID:          i.ServerID,
		})
		if err != nil {
			end()
			return nil, err
		}
		g.byIssuer[jwt.Issuer.URL] = issuer{
			Token:       newCache(known, cacheConfig{Store: shared, SuccessTTL: issuerTTL, End: foreigntoken.End}),
			prefix:      ptr.Deref(jwt.ClaimMappings.Username.Prefix, ""),
			healthCheck: known.HealthCheck,
		}
	}
	return g, nil
}

// AuthenticateToken asks the one issuer that the token names. Every refusal is final, since no issuer is configured twice
// and no other authenticator has the issuer's keys and rules.
func (g *generation) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	return answer(g.Explain(ctx, token, nil))
}

// Explain does the same.
func (g *generation) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	known, ok := g.find(token)
	if !ok {
		g.noteStranger(token, notes)
		return nil, reason.Invalid(reason.UnknownToken)
	}
	response, ok, err := known.AuthenticateToken(ctx, token)
	switch {
	case err != nil:
		err = refusal{reason.With(foreigntoken.Reason(err), err)}
	case !ok:
		err = silent(reason.IssuerRefused)
	case foreigntoken.Nameless(strings.TrimPrefix(response.User.GetName(), known.prefix)):
		err = refusal{errNameless}
	}
	g.note(token, notes, err)
	if err != nil {
		return nil, err
	}
	return response, nil
}

// find returns the issuer that a token names, if it is one of the generation's.
func (g *generation) find(token string) (issuer, bool) {
	if len(g.byIssuer) == 0 {
		return issuer{}, false
	}
	named, ok := foreigntoken.Issuer(token)
	if !ok {
		return issuer{}, false
	}
	known, ok := g.byIssuer[named]
	return known, ok
}

// health returns why the generation can't be used yet.
func (g *generation) health() error {
	for _, known := range g.byIssuer {
		if err := known.healthCheck(); err != nil {
			return err
		}
	}
	return nil
}
