package authz

import (
	"context"
	"fmt"
	"iter"

	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/internal/view"
)

var _ interface {
	authorizer.Authorizer
	authorizer.RuleResolver
} = rbac{}

// rbac decides by roles and bindings.
type rbac struct {
	authorizer.AuthorizerFunc
	*Index
}

func newRBAC(index *Index) rbac { return rbac{index.authorize, index} }

// authorize allows what a role of the user allows, everywhere or in the namespace of the request, and has no opinion on
// anything else.
func (x *Index) authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetUser() == nil {
		return authorizer.DecisionNoOpinion, "", nil
	}
	asked := newRequest(a)
	var missing []error
	x.mu.RLock()
	defer x.mu.RUnlock()
	for who, g := range x.grants(a.GetUser(), a.GetNamespace()) {
		given := x.roles[g.role]
		if given == nil {
			missing = append(missing, missingRole(g.role))
			continue
		}
		if allow(given.rules, asked) {
			return authorizer.DecisionAllow, g.bindings[0].reason(who, a.GetUser()), nil
		}
	}
	if len(missing) > 0 {
		return authorizer.DecisionNoOpinion, fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(missing)), nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// grants yields what a user has been given: what counts everywhere first, then what counts in a namespace, if there is
// one. The lock is held.
func (x *Index) grants(u user.Info, namespace string) iter.Seq2[subject, *grant] {
	return func(yield func(subject, *grant) bool) {
		if x.byNamespace[""].grants(u, yield) && namespace != "" {
			x.byNamespace[namespace].grants(u, yield)
		}
	}
}

func (s grantTable) grants(u user.Info, yield func(subject, *grant) bool) bool {
	if len(s) == 0 {
		return true
	}
	groups := u.GetGroups()
	for i := -1; i < len(groups); i++ {
		who := subject{name: u.GetName()}
		if i >= 0 {
			who = subject{group: true, name: groups[i]}
		}
		grants := s[who]
		for j := range grants {
			if !yield(who, &grants[j]) {
				return false
			}
		}
	}
	return true
}

// reason says why a binding allows something to a user who is one of its subjects. It names the first subject that
// matches the user.
func (b *binding) reason(found subject, u user.Info) string {
	first := 0
	for i := range b.subjects {
		if who := b.subject(i); who == found || who.name != "" && is(u, who) {
			first = i
			break
		}
	}
	if text := b.reasons[first].Load(); text != nil {
		return *text
	}
	text := b.tell(first)
	b.reasons[first].Store(&text)
	return text
}

// tell says why a binding allows something to one of its subjects.
func (b *binding) tell(first int) string {
	kind, name := "ClusterRoleBinding", b.meta.Name
	if b.meta.Namespace != "" {
		kind, name = "RoleBinding", b.meta.Name+"/"+b.meta.Namespace
	}
	s := &b.subjects[first]
	bound := s.Name
	if s.Kind == rbacv1.ServiceAccountKind {
		bound += "/" + b.accountNamespace(first)
	}
	return fmt.Sprintf("RBAC: allowed by %s %q of %s %q to %s %q", kind, name, b.ref.Kind, b.ref.Name, s.Kind, bound)
}

// is reports whether a user is a subject or a member of it.
func is(u user.Info, s subject) bool {
	if !s.group {
		return u.GetName() == s.name
	}
	for _, group := range u.GetGroups() {
		if group == s.name {
			return true
		}
	}
	return false
}

func missingRole(key view.Key) error {
	kind := "role"
	if key.Namespace == "" {
		kind = "clusterrole"
	}
	return fmt.Errorf("%s.%s %q not found", kind, rbacv1.GroupName, key.Name)
}

// rules returns the rules that a user has in a namespace, by role bindings there and by cluster role bindings. The error
// names the roles that are bound but don't exist.
func (x *Index) rules(u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	var missing []error
	seen := map[*binding]struct{}{}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, g := range x.grants(u, namespace) {
		given := x.roles[g.role]
		for _, b := range g.bindings {
			if _, again := seen[b]; again {
				continue
			}
			seen[b] = struct{}{}
			if given == nil {
				missing = append(missing, missingRole(g.role))
				continue
			}
			rules = append(rules, policy(given.rules)...)
		}
	}
	return rules, utilerrors.NewAggregate(missing)
}

// RulesFor returns the rules that a user has in a namespace.
func (x *Index) RulesFor(_ context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	rules, err := x.rules(u, namespace)
	resources, urls := tell(rules)
	return resources, urls, false, err
}

// tell is rules in the library's form.
func tell(rules []rbacv1.PolicyRule) (resources []authorizer.ResourceRuleInfo, urls []authorizer.NonResourceRuleInfo) {
	for _, r := range rules {
		if len(r.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
			})
		}
		if len(r.NonResourceURLs) > 0 {
			urls = append(urls, &authorizer.DefaultNonResourceRuleInfo{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
	}
	return resources, urls
}
