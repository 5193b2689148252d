package authz

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// The rules of the default cluster roles of the same names.
var (
	publicInfoViewer = get("/livez", "/readyz", "/healthz", "/version", "/version/")
	discovery        = get("/livez", "/readyz", "/healthz", "/version", "/version/",
		"/openapi", "/openapi/*", "/api", "/api/*", "/apis", "/apis/*")
	issuerDiscovery = get("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/")
	monitoring      = get("/metrics", "/metrics/slis", "/livez", "/readyz", "/healthz", "/livez/*", "/readyz/*", "/healthz/*")
	basicUser       = []rbacv1.PolicyRule{
		{Verbs: []string{"create"}, APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews"}},
		{Verbs: []string{"create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"selfsubjectreviews"}},
	}
)

// defaultRules are the default bindings of those roles to groups.
func defaultRules() groups {
	return groups{
		user.AllAuthenticated:                  append([]rbacv1.PolicyRule{discovery, publicInfoViewer}, basicUser...),
		user.AllUnauthenticated:                {publicInfoViewer},
		user.MonitoringGroup:                   {monitoring},
		serviceaccount.AllServiceAccountsGroup: {issuerDiscovery},
	}
}

func get(urls ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: urls}
}
