// Package authz decides who may do what.
//
// Members of system:masters may do everything. What everybody else may do follows from the default roles of Kubernetes
// that are bound to groups; nothing else can be granted yet.
package authz

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
)

// Config says what is granted.
type Config struct {
	// PublicIssuer lets everybody read the issuer's documents, not only service accounts: relying parties are
	// strangers, and keys are public.
	PublicIssuer bool
}

// New returns the authorizer.
func New(cfg Config) authorizer.Authorizer {
	granted := defaultRules()
	if cfg.PublicIssuer {
		granted[user.AllAuthenticated] = append(granted[user.AllAuthenticated], issuerDiscovery)
		granted[user.AllUnauthenticated] = append(granted[user.AllUnauthenticated], issuerDiscovery)
	}
	privileged := authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if decision, reason, err := privileged.Authorize(ctx, a); decision == authorizer.DecisionAllow {
			return decision, reason, err
		}
		return granted.authorize(a), "", nil
	})
}

// groups holds the rules that each group has been granted.
type groups map[string][]rbacv1.PolicyRule

// authorize allows what a rule of one of the user's groups allows, and has no opinion on anything else.
func (g groups) authorize(a authorizer.Attributes) authorizer.Decision {
	if a.GetUser() == nil {
		return authorizer.DecisionNoOpinion
	}
	for _, group := range a.GetUser().GetGroups() {
		for i := range g[group] {
			if allows(&g[group][i], a) {
				return authorizer.DecisionAllow
			}
		}
	}
	return authorizer.DecisionNoOpinion
}
