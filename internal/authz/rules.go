package authz

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// rule is a rule of a role whose wildcards have been looked for, since most requests come from administrators.
type rule struct {
	rbacv1.PolicyRule
	anyVerb, anyGroup, anyResource bool
}

func compile(rules []rbacv1.PolicyRule) []rule {
	compiled := make([]rule, len(rules))
	for i := range rules {
		compiled[i] = rule{
			PolicyRule:  *rules[i].DeepCopy(),
			anyVerb:     slices.Contains(rules[i].Verbs, rbacv1.VerbAll),
			anyGroup:    slices.Contains(rules[i].APIGroups, rbacv1.APIGroupAll),
			anyResource: slices.Contains(rules[i].Resources, rbacv1.ResourceAll),
		}
	}
	return compiled
}

// policy returns the rules as they were before they were compiled. They must not be changed.
func policy(rules []rule) []rbacv1.PolicyRule {
	policy := make([]rbacv1.PolicyRule, len(rules))
	for i := range rules {
		policy[i] = rules[i].PolicyRule
	}
	return policy
}

// request is what rules look at in a request, taken from it once.
type request struct {
	authorizer.Attributes
	verb, group, resource, name string
	ofResource                  bool
	// anyOwner is "*/subresource", by which a rule covers the subresource of every resource.
	anyOwner string
}

func newRequest(a authorizer.Attributes) *request {
	r := &request{Attributes: a, verb: a.GetVerb(), ofResource: a.IsResourceRequest()}
	if r.ofResource {
		r.group, r.resource, r.name = a.GetAPIGroup(), a.GetResource(), a.GetName()
		if subresource := a.GetSubresource(); subresource != "" {
			r.resource += "/" + subresource
			r.anyOwner = "*/" + subresource
		}
	}
	return r
}

// allow reports whether one of the rules covers a request.
func allow(rules []rule, r *request) bool {
	for i := range rules {
		if rules[i].covers(r) {
			return true
		}
	}
	return false
}

func (u *rule) covers(r *request) bool {
	if !u.anyVerb && !slices.Contains(u.Verbs, r.verb) {
		return false
	}
	if !r.ofResource {
		return slices.ContainsFunc(u.NonResourceURLs, func(url string) bool { return coversURL(url, r.GetPath()) })
	}
	return (u.anyGroup || slices.Contains(u.APIGroups, r.group)) && u.coversResource(r) &&
		(len(u.ResourceNames) == 0 || slices.Contains(u.ResourceNames, r.name))
}

// coversResource matches "resource", "resource/subresource", "*/subresource" and "*"; "resource/*" means nothing.
func (u *rule) coversResource(r *request) bool {
	return u.anyResource || slices.Contains(u.Resources, r.resource) ||
		r.anyOwner != "" && slices.Contains(u.Resources, r.anyOwner)
}

// coversURL matches a path exactly, or by what stands before a star at the end.
func coversURL(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}
