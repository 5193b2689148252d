package apiserver

import (
	"slices"

	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/rest"
	basecompatibility "k8s.io/component-base/compatibility"

	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/registry/authentication"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/scheme/openapi"
)

// gitVersion is the Kubernetes version whose API is served, marked as ours.
const gitVersion = "v1.37.2+mintmark"

// newGenericConfig returns the configuration of the library's server, without authentication, authorization and handlers.
func newGenericConfig(cfg Config, endpoint *endpoint, stored genericoptions.EtcdOptions, views *views) (*genericapiserver.Config, error) {
	c := genericapiserver.NewConfig(scheme.Codecs)
	if err := cfg.Server.ApplyTo(c); err != nil {
		return nil, err
	}
	c.Serializer = scheme.Serializer
	c.EffectiveVersion = effectiveVersion{c.EffectiveVersion}
	if err := endpoint.serving.ApplyTo(&c.SecureServing); err != nil {
		return nil, err
	}
	c.SecureServing.Cert.AddListener(endpoint)
	c.ExternalAddress = endpoint.address
	stored.StorageConfig.StorageObjectCountTracker = c.StorageObjectCountTracker
	if err := stored.ApplyWithStorageFactoryTo(newStorageFactory(&stored), c); err != nil {
		return nil, err
	}
	// A process whose store is away is alive: restarting it would only take away what it can still answer.
	c.LivezChecks = slices.DeleteFunc(c.LivezChecks, func(check healthz.HealthChecker) bool { return check.Name() == "etcd" })
	c.RESTOptionsGetter = viewedStorage{RESTOptionsGetter: c.RESTOptionsGetter, views: views, clock: cfg.Clock}
	if err := cfg.Audit.ApplyTo(c); err != nil {
		return nil, err
	}
	if c.AuditBackend != nil {
		c.AuditBackend = crash.Audited{Backend: c.AuditBackend}
	}
	if c.AuditPolicyRuleEvaluator != nil {
		c.AuditPolicyRuleEvaluator = withoutTokens{c.AuditPolicyRuleEvaluator}
	}
	c.RequestInfoResolver = revokeRequests{authentication.WebhookRequests{RequestInfoResolver: genericapiserver.NewRequestInfoResolver(c)}}
	if err := cfg.Tracing.ApplyTo(nil, c); err != nil {
		return nil, err
	}
	describe(c)
	// The library insists on a client of its own. Nothing uses it: the server's components have one that does not go
	// through the network, so there is no token that would open every door.
	c.LoopbackClientConfig = &rest.Config{}
	c.AddReadyzChecks(healthz.NamedCheck("live-index", views.check))
	return c, nil
}

// describe has discovery and the OpenAPI documents served.
func describe(c *genericapiserver.Config) {
	namer := openapinamer.NewDefinitionNamer(scheme.Scheme)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIConfig.Info.Title = "Mintmark"
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIV3Config.Info.Title = "Mintmark"
	c.SkipOpenAPIInstallation = true // see installOpenAPI
	c.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")
}

// effectiveVersion tells clients which Kubernetes they talk to, instead of how the library was built.
type effectiveVersion struct {
	basecompatibility.EffectiveVersion
}

// Info is what /version answers.
func (v effectiveVersion) Info() *apimachineryversion.Info {
	info := v.EffectiveVersion.Info()
	info.GitVersion = gitVersion
	info.GitCommit, info.GitTreeState, info.BuildDate = "", "", ""
	return info
}
