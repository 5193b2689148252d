package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// ConfirmNoEscalation returns an error unless the caller of a request has all of the rules that it is about to give, in
// the namespace of the request. Rights that the caller doesn't have by roles don't count.
func (x *Index) ConfirmNoEscalation(ctx context.Context, rules []rbacv1.PolicyRule) error {
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return errors.New("no user on context")
	}
	held, unresolved := x.rules(caller, genericapirequest.NamespaceValue(ctx))
	covered, missing := validation.Covers(held, rules)
	if covered {
		return nil
	}
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		caller.GetName(), caller.GetGroups(), strings.Join(describe(missing), "\n"))
	if unresolved != nil {
		text += fmt.Sprintf("; resolution errors: %v", []error{unresolved})
	}
	return errors.New(text)
}

// IsPrivileged reports whether the caller of a request may give rights that it doesn't have.
func IsPrivileged(ctx context.Context) bool {
	caller, ok := genericapirequest.UserFrom(ctx)
	return ok && slices.Contains(caller.GetGroups(), user.SystemPrivilegedGroup)
}

// describe lists rules, each of a single group, resource, name, URL and verb, for error messages: verbs of a resource
// together and verbs of a URL one by one, sorted.
func describe(rules []rbacv1.PolicyRule) []string {
	type thing struct{ what, url string }
	verbs := map[thing][]string{}
	for _, r := range rules {
		var key thing
		var parts []string
		for _, part := range []struct {
			name string
			list []string
		}{{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs}, {"ResourceNames", r.ResourceNames}} {
			if len(part.list) > 0 {
				parts = append(parts, fmt.Sprintf("%s:%q", part.name, part.list))
			}
		}
		key.what = strings.Join(parts, ", ")
		if len(r.NonResourceURLs) > 0 {
			key.url = strings.Join(r.Verbs, ",")
		}
		verbs[key] = append(verbs[key], r.Verbs...)
	}
	lines := make([]string, 0, len(verbs))
	for key, list := range verbs {
		if key.url != "" {
			list = list[:1]
		}
		lines = append(lines, fmt.Sprintf("{%s, Verbs:%q}", key.what, list))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}
