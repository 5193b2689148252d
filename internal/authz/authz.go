// Package authz provides the authorizer, which decides requests by RBAC and the other modes, and the decisions of the
// access reviews of authorization.k8s.io.
//
// Roles and bindings are ordinary objects; the Index keeps them in memory. Users of another issuer with a name of this server's own
// users may do nothing. Members of system:masters may do everything, and no mode is asked about them. Otherwise the configured
// modes are asked in their order, and the first decision counts.
package authz

import (
	"context"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
)

// Config configures an authorizer.
type Config struct {
	// Authorizers are asked in this order: see Flags.Authorizers. RBAC alone by default.
	Authorizers []apiserverconfig.AuthorizerConfiguration
	// Index holds the roles and bindings.
	Index *Index
	// Nodes holds the relations of nodes to objects, by which the Node mode decides.
	Nodes *NodeRelations
	// PublicIssuer lets everybody read the issuer's documents, not only service accounts: relying parties are
	// strangers, and keys are public. It is asked last and is no role, so no stored object depends on it and no binding
	// can give it away.
	PublicIssuer bool
	// OpenShift is for a server with OpenShift's API. It lets a kube-apiserver of OpenShift have tokens reviewed at
	// oauth.openshift.io, holds callers to the scopes of their access tokens in every mode, and adds the default
	// roles for that API.
	OpenShift bool
	// Issuers are those of this server's own tokens. A user of another issuer has none of the rights of this server's own users.
	Issuers []string
}

// Authorizer is the modes one after the other.
type Authorizer struct {
	authorizer.AuthorizerFunc
	foreign foreign
	chain   []mode
}

// mode is an authorization mode.
type mode interface {
	authorizer.UnconditionalAuthorizer
	authorizer.RuleResolver
}

var _ interface {
	authorizer.Authorizer
	authorizer.RuleResolver
} = (*Authorizer)(nil)

// New returns the authorizer.
func New(cfg Config) (*Authorizer, error) {
	if len(cfg.Authorizers) == 0 {
		cfg.Authorizers = []apiserverconfig.AuthorizerConfiguration{{Type: ModeRBAC}}
	}
	z := &Authorizer{foreign: foreign{cfg.Issuers}}
	if cfg.OpenShift {
		z.chain = append(z.chain, openShiftCaller{}, scoped{cfg.Index})
	}
	for _, a := range cfg.Authorizers {
		m, err := newMode(a, cfg)
		if err != nil {
			return nil, err
		}
		z.chain = append(z.chain, m)
	}
	if cfg.PublicIssuer {
		z.chain = append(z.chain, publicIssuer)
	}
	z.AuthorizerFunc = z.authorize
	return z, nil
}

func newMode(a apiserverconfig.AuthorizerConfiguration, cfg Config) (mode, error) {
	switch string(a.Type) {
	case ModeRBAC:
		return newRBAC(cfg.Index), nil
	case ModeNode:
		return newNode(cfg.Nodes), nil
	case ModeWebhook:
		return newWebhook(a.Name, a.Webhook)
	case ModeAlwaysAllow:
		return authorizerfactory.NewAlwaysAllowAuthorizer(), nil
	case ModeAlwaysDeny:
		return authorizerfactory.NewAlwaysDenyAuthorizer(), nil
	}
	return nil, fmt.Errorf("unknown authorization mode %s specified", a.Type)
}

var privileged = authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)

// authorize decides a request about TokenReviewLists as one about TokenReviews, and any other as it is.
func (z *Authorizer) authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if !isReviewList(a) {
		return z.decide(ctx, a)
	}
	decision, reason, err := z.decide(ctx, asReviews{a})
	if decision != authorizer.DecisionAllow {
		reason = strings.TrimSuffix(needsReviews+"\n"+reason, "\n")
	}
	return decision, reason, err
}

// decide asks the modes in order and returns the first decision. If none decides, it joins all reasons, one per line.
// The library's union puts names in front of these lines, which kube-apiserver doesn't.
func (z *Authorizer) decide(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetUser() != nil {
		if decision, reason, err := z.foreign.Authorize(ctx, a); decision == authorizer.DecisionDeny {
			return decision, reason, err
		}
		if decision, reason, err := privileged.Authorize(ctx, a); decision == authorizer.DecisionAllow {
			return decision, reason, err
		}
	}
	var reasons []string
	var errs []error
	for _, m := range z.chain {
		decision, reason, err := m.Authorize(ctx, a)
		if decision != authorizer.DecisionNoOpinion {
			return decision, reason, err
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return authorizer.DecisionNoOpinion, strings.Join(reasons, "\n"), utilerrors.NewAggregate(errs)
}

// RulesFor returns what rules the modes know of for a user in a namespace.
func (z *Authorizer) RulesFor(ctx context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	var (
		resources  []authorizer.ResourceRuleInfo
		urls       []authorizer.NonResourceRuleInfo
		incomplete bool
		errs       []error
	)
	if _, _, _, err := z.foreign.RulesFor(ctx, u, namespace); err != nil {
		return nil, nil, false, err
	}
	for _, m := range z.chain {
		some, further, partial, err := m.RulesFor(ctx, u, namespace)
		resources, urls = append(resources, some...), append(urls, further...)
		incomplete = incomplete || partial
		errs = append(errs, err)
	}
	return resources, urls, incomplete, utilerrors.NewAggregate(errs)
}

// fixed is a rule that holds for everybody.
type fixed struct {
	rules  []rule
	reason string
}

// publicIssuer is the rule of the default role for the issuer's documents, without the role.
var publicIssuer = fixed{compile([]rbacv1.PolicyRule{issuerDiscovery}), "allowed by --anonymous-issuer-discovery"}

// Authorize allows what the rule allows.
func (f fixed) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if allow(f.rules, newRequest(a)) {
		return authorizer.DecisionAllow, f.reason, nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// RulesFor returns the rule.
func (f fixed) RulesFor(context.Context, user.Info, string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	_, urls := tell(policy(f.rules))
	return nil, urls, false, nil
}
