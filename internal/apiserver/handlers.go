package apiserver

import (
	"net/http"

	oauthv1 "github.com/openshift/api/oauth/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/fastpath"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/testclock"
	"github.com/mintmark/mintmark/internal/tokenrequest"
	"github.com/mintmark/mintmark/internal/tokenreview"
	"github.com/mintmark/mintmark/internal/view"
)

// transports are the two ways into the server: the fast path and the library's chain of handlers.
type transports struct {
	fast, traced bool
	groups       []registry.Group
	reviewers    map[schema.GroupVersion]fastpath.Reviewer
	lists        *reviewLists
	issuer       *tokenrequest.Issuer
	inFlight     *inFlight
	authorizer   *authz.Authorizer
	ready        <-chan struct{}
	watchEnd     *watchEnd
	views        *view.Set
	keyFiles     *signingkey.Files
	clock        *testclock.Clock
	intercept    func(http.Handler) http.Handler
}

// newTransports returns the two ways. The limit of requests in flight, which both keep, is taken from the configuration.
func newTransports(cfg Config, groups []registry.Group, issuer *tokenrequest.Issuer, reviewer *tokenreview.Reviewer, lists *reviewLists, inFlight *inFlight,
	openShift *openShift, authorizer *authz.Authorizer, revoked *revocation.Set, ready <-chan struct{}, views *view.Set, generic *genericapiserver.Config,
) (transports, error) {
	t := transports{
		authorizer: authorizer, ready: ready, views: views, watchEnd: newWatchEnd(cfg.Server, generic.LongRunningFunc, revoked, generic.ShutdownInitiatedNotify()),
		clock: cfg.Clock, intercept: cfg.Intercept,
		fast: cfg.FastPath, traced: cfg.Tracing.ConfigFile != "", groups: groups, issuer: issuer, inFlight: inFlight, lists: lists,
		reviewers: map[schema.GroupVersion]fastpath.Reviewer{authenticationv1.SchemeGroupVersion: reviewer},
	}
	if openShift != nil {
		t.reviewers[oauthv1.GroupVersion] = openShift.reviewer
	}
	return t, generic.AddPostStartHook(inFlightHook, t.inFlight.measure)
}

// chain puts the two together: the fast path in front, and behind it the library's filters, and in these the API. The gate
// is in front of both, and around it is what concerns connections more than requests.
func (t transports) chain(apis http.Handler, c *genericapiserver.Config) http.Handler {
	library := *c
	library.GoawayChance, library.HSTSDirectives = 0, nil
	library.Authentication.Authenticator = orToken(noteUnavailable(delayUnknown(fastpath.OncePerRequest(c.Authentication.Authenticator), t.inFlight.turns)))
	library.Authorization.Authorizer = delayRefused(revokers(openUntilReady(t.authorizer, t.ready)), t.inFlight.turns)
	handler := crash.Handler(t.inFlight.limited(t.watchEnd.handler(aggregate(apis, t.groups, c))))
	handler = withPresented(uncompressed(answerUnavailable(genericapiserver.DefaultBuildHandlerChain(handler, &library))))
	if t.fast {
		handler = t.fastPath(handler, c)
	}
	handler = tellDetails(handler, t.views, t.keyFiles)
	handler = &gate{ready: t.ready, views: t.views, stopping: c.ShutdownInitiatedNotify(), resolver: c.RequestInfoResolver, next: handler}
	if !c.SecureServing.DisableHTTP2 && c.GoawayChance > 0 {
		handler = genericfilters.WithProbabilisticGoaway(handler, c.GoawayChance)
	}
	if t.intercept != nil {
		handler = intercepted(handler, t.intercept)
	}
	if t.clock != nil {
		handler = dated(handler, t.clock)
	}
	return genericfilters.WithHSTS(crash.Handler(handler), c.HSTSDirectives)
}

// fastPath returns the fast path, which asks the same objects as the library's chain behind it.
func (t transports) fastPath(next http.Handler, c *genericapiserver.Config) http.Handler {
	cfg := fastpath.Config{
		Next:          next,
		Stopping:      c.ShutdownInitiatedNotify(),
		Authenticator: c.Authentication.Authenticator,
		APIAudiences:  c.Authentication.APIAudiences,
		Authorizer:    t.authorizer,
		Admission:     c.AdmissionControl,
		Reviewers:     t.reviewers,
		Lists:         t.lists,
		Issuer:        t.issuer,
		Turns:         turns{t.inFlight.turns.Turns, fastCost},
		Limit:         t.inFlight.mutating,
		Forbidden: func(a authorizer.Attributes, w http.ResponseWriter, r *http.Request, reason string) {
			responsewriters.Forbidden(a, w, r, reason, c.Serializer)
		},
		TooMany:     tooMany,
		InFlight:    c.NonLongRunningRequestWaitGroup,
		Timeout:     c.RequestTimeout,
		Audit:       c.AuditBackend,
		AuditPolicy: c.AuditPolicyRuleEvaluator,
	}
	if proxy := c.Authentication.RequestHeaderConfig; proxy != nil {
		for _, name := range proxy.UsernameHeaders.Value() {
			cfg.ProxyHeaders = append(cfg.ProxyHeaders, http.CanonicalHeaderKey(name))
		}
	}
	if t.traced {
		cfg.Trace = func(handler http.Handler) http.Handler {
			return genericapifilters.WithTracing(handler, c.TracerProvider)
		}
	}
	return fastpath.New(cfg)
}
