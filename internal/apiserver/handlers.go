package apiserver

import (
	"net/http"

	oauthv1 "github.com/openshift/api/oauth/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"

	"github.com/mintmark/mintmark/internal/fastpath"
)

// buildHandlerChain puts the two transports together: the fast path in front, and behind it the library's chain of
// filters, and in that the API. What concerns connections more than requests is around both.
func (s *Server) buildHandlerChain(apis http.Handler, c *genericapiserver.Config) http.Handler {
	around := *c
	c.GoawayChance, c.HSTSDirectives = 0, nil
	handler := genericapiserver.DefaultBuildHandlerChain(s.inFlight.limited(s.aggregated(apis, c)), c)
	if s.cfg.FastPath {
		handler = s.newFastPath(handler, c)
	}
	if !c.SecureServing.DisableHTTP2 && around.GoawayChance > 0 {
		handler = genericfilters.WithProbabilisticGoaway(handler, around.GoawayChance)
	}
	return genericfilters.WithHSTS(handler, around.HSTSDirectives)
}

func (s *Server) newFastPath(next http.Handler, c *genericapiserver.Config) http.Handler {
	cfg := fastpath.Config{
		Next:          next,
		Stopping:      c.ShutdownInitiatedNotify(),
		Authenticator: c.Authentication.Authenticator,
		APIAudiences:  c.Authentication.APIAudiences,
		Authorizer:    s.authorizer,
		Admission:     c.AdmissionControl,
		Reviewers:     map[schema.GroupVersion]fastpath.Reviewer{authenticationv1.SchemeGroupVersion: s.reviewer},
		Issuer:        s.issuer,
		Limit:         s.inFlight.mutating,
		InFlight:      c.NonLongRunningRequestWaitGroup,
		Timeout:       c.RequestTimeout,
		Audit:         c.AuditBackend,
		AuditPolicy:   c.AuditPolicyRuleEvaluator,
	}
	if s.cfg.OpenShift {
		cfg.Reviewers[oauthv1.GroupVersion] = s.openShiftReviewer
	}
	if proxy := c.Authentication.RequestHeaderConfig; proxy != nil {
		for _, name := range proxy.UsernameHeaders.Value() {
			cfg.ProxyHeaders = append(cfg.ProxyHeaders, http.CanonicalHeaderKey(name))
		}
	}
	if s.cfg.Tracing.ConfigFile != "" {
		cfg.Trace = func(handler http.Handler) http.Handler {
			return genericapifilters.WithTracing(handler, c.TracerProvider)
		}
	}
	return fastpath.New(cfg)
}
