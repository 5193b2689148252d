package authz

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// allows reports whether a rule covers a request.
func allows(rule *rbacv1.PolicyRule, a authorizer.Attributes) bool {
	if !holds(rule.Verbs, a.GetVerb()) {
		return false
	}
	if !a.IsResourceRequest() {
		return slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool { return coversURL(url, a.GetPath()) })
	}
	return holds(rule.APIGroups, a.GetAPIGroup()) && coversResource(rule.Resources, a) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

// holds reports whether a list holds a word, or the star that stands for all.
func holds(list []string, word string) bool {
	return slices.Contains(list, rbacv1.VerbAll) || slices.Contains(list, word)
}

// coversResource matches "resource", "resource/subresource", "*/subresource" and "*"; "resource/*" means nothing.
func coversResource(list []string, a authorizer.Attributes) bool {
	resource := a.GetResource()
	if subresource := a.GetSubresource(); subresource != "" {
		if slices.Contains(list, "*/"+subresource) {
			return true
		}
		resource += "/" + subresource
	}
	return holds(list, resource)
}

// coversURL matches a path exactly, or by what stands before a star at the end.
func coversURL(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}
