package authz

import (
	"context"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/view"
)

// The scopes of access tokens that say what their user may do with them.
const (
	ScopeFull        = "user:full"
	ScopeInfo        = "user:info"
	ScopeCheckAccess = "user:check-access"
	// ScopeRolePrefix begins the scopes of roles: role:NAME:NAMESPACE.
	ScopeRolePrefix = "role:"
	// escalateSuffix ends scopes of roles that include requests which lead to further rights.
	escalateSuffix = ":!"
	// anywhere is the namespace of scopes of roles that count in all namespaces.
	anywhere = "*"
)

// RoleScope is the scope of a cluster role in a namespace, or in all of them.
type RoleScope struct {
	Role, Namespace string
	// Escalating includes requests that lead to further rights, such as for secrets.
	Escalating bool
}

// ParseRoleScope reads from the right, since names of roles may have colons in them and names of namespaces may not.
func ParseRoleScope(scope string) (RoleScope, error) {
	scope, escalating := strings.CutSuffix(scope, escalateSuffix)
	named, ok := strings.CutPrefix(scope, ScopeRolePrefix)
	colon := strings.LastIndexByte(named, ':')
	if !ok || colon <= 0 || colon == len(named)-1 {
		return RoleScope{}, fmt.Errorf("bad format for scope %s", scope)
	}
	return RoleScope{Role: named[:colon], Namespace: named[colon+1:], Escalating: escalating}, nil
}

var (
	// always are the requests that every scope allows.
	always = compile([]rbacv1.PolicyRule{discovery})

	userScopes = map[string][]rule{
		ScopeInfo:        compile([]rbacv1.PolicyRule{mayNamed("get", userGroup, "users", "~")}),
		ScopeCheckAccess: compile([]rbacv1.PolicyRule{may("create", "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews")}),
	}
)

// scoped holds callers to the scopes of their access tokens. It is asked before the modes and allows nothing itself: a
// scope is a limit and not a right.
type scoped struct{ index *Index }

// Authorize denies requests that no scope covers.
func (s scoped) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	scopes := scopesOf(a.GetUser())
	if len(scopes) == 0 {
		return authorizer.DecisionNoOpinion, "", nil
	}
	asked := newRequest(a)
	covers := func(scope string) bool { return s.covers(scope, asked) }
	if allow(always, asked) || slices.ContainsFunc(scopes, covers) {
		return authorizer.DecisionNoOpinion, "", nil
	}
	return authorizer.DecisionDeny, fmt.Sprintf("scopes %v prevent this action", scopes), nil
}

// RulesFor returns no rules. For callers with scopes it reports that the rules of the modes are incomplete.
func (s scoped) RulesFor(_ context.Context, u user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	scopes := scopesOf(u)
	return nil, nil, len(scopes) > 0 && !slices.Contains(scopes, ScopeFull), nil
}

func scopesOf(u user.Info) []string {
	if u == nil {
		return nil
	}
	return u.GetExtra()[oauth.ScopesKey]
}

func (s scoped) covers(scope string, asked *request) bool {
	if scope == ScopeFull {
		return true
	}
	if rules, ok := userScopes[scope]; ok {
		return allow(rules, asked)
	}
	of, err := ParseRoleScope(scope)
	if err != nil {
		return false
	}
	if of.Namespace != anywhere && of.Namespace != asked.GetNamespace() || !of.Escalating && escalates(asked) {
		return false
	}
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	role := s.index.roles[view.Key{Name: of.Role}]
	return role != nil && allow(role.rules, asked)
}

// escalates reports whether a request may lead to further rights: it is about credentials, impersonation, roles and
// bindings, the signers of certificates, or the keys that sign tokens and which tokens are accepted.
func escalates(asked *request) bool {
	switch asked.verb {
	case "impersonate", "escalate", "bind":
		return true
	}
	reads := strings.Contains(" "+read+" ", " "+asked.verb+" ")
	switch asked.group {
	case "":
		return asked.resource == "secrets" || asked.resource == "serviceaccounts/token"
	case certificatesv1.GroupName:
		return asked.resource == "signers"
	case oauthGroup:
		return true
	case rbacv1.GroupName, userGroup, mintmarkv1alpha1.GroupName:
		return !reads
	}
	return false
}
