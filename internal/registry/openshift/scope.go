package openshift

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	oauthv1 "github.com/openshift/api/oauth/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The scopes that concern the user. Those of roles are written role:NAME:NAMESPACE, and with :! behind it they include
// what leads to further rights, such as secrets.
const (
	scopeFull               = "user:full"
	scopeInfo               = "user:info"
	scopeCheckAccess        = "user:check-access"
	scopeListScopedProjects = "user:list-scoped-projects"
	scopeListProjects       = "user:list-projects"

	rolePrefix     = "role:"
	escalateSuffix = ":!"
	anything       = "*"
)

var userScopes = []string{scopeFull, scopeInfo, scopeCheckAccess, scopeListScopedProjects, scopeListProjects}

// validateScopes checks that there are scopes, and that all are of known forms.
func validateScopes(scopes []string, at *field.Path) field.ErrorList {
	if len(scopes) == 0 {
		return field.ErrorList{field.Required(at, "may not be empty")}
	}
	var errs field.ErrorList
	for i, scope := range scopes {
		for _, problem := range scopeProblems(scope) {
			errs = append(errs, field.Invalid(at.Index(i), scope, problem))
		}
	}
	return errs
}

func scopeProblems(scope string) []string {
	var problems []string
	for _, char := range scope {
		if !isScopeChar(char) {
			problems = append(problems, fmt.Sprintf("%d not allowed", char))
		}
	}
	switch {
	case problems != nil:
		return problems
	case strings.HasPrefix(scope, rolePrefix):
		if _, err := parseRoleScope(scope); err != nil {
			return []string{err.Error()}
		}
	case !slices.Contains(userScopes, scope):
		return []string{"no scope handler found"}
	}
	return nil
}

// isScopeChar reports whether scopes may contain a character (RFC 6749 section 3.3).
func isScopeChar(char rune) bool {
	return char >= '!' && char <= '~' && char != '"' && char != '\\'
}

// roleScope is a scope of what a cluster role allows in a namespace, or in all.
type roleScope struct {
	role, namespace string
	escalating      bool
}

// parseRoleScope reads from the right: names of roles may have colons in them, those of namespaces have none.
func parseRoleScope(scope string) (roleScope, error) {
	scope, escalating := strings.CutSuffix(scope, escalateSuffix)
	named, ok := strings.CutPrefix(scope, rolePrefix)
	colon := strings.LastIndexByte(named, ':')
	if !ok || colon <= 0 || colon == len(named)-1 {
		return roleScope{}, fmt.Errorf("bad format for scope %s", scope)
	}
	return roleScope{role: named[:colon], namespace: named[colon+1:], escalating: escalating}, nil
}

// checkRestrictions says why a client may not ask for scopes. One without restrictions may ask for any, but not for none.
func checkRestrictions(client *oauthv1.OAuthClient, scopes []string) error {
	if len(scopes) == 0 {
		return fmt.Errorf("%s may not request unscoped tokens", client.Name)
	}
	if len(client.ScopeRestrictions) == 0 {
		return nil
	}
	var errs []error
	for _, scope := range scopes {
		errs = append(errs, checkScope(client.ScopeRestrictions, scope))
	}
	return utilerrors.NewAggregate(errs)
}

// checkScope is satisfied by one restriction that admits the scope. Otherwise those that know its form say why not.
func checkScope(restrictions []oauthv1.ScopeRestriction, scope string) error {
	var errs []error
	for _, restriction := range restrictions {
		switch {
		case len(restriction.ExactValues) > 0:
			if slices.Contains(restriction.ExactValues, scope) {
				return nil
			}
			errs = append(errs, fmt.Errorf("%s not found in %v", scope, restriction.ExactValues))
		case restriction.ClusterRole != nil && strings.HasPrefix(scope, rolePrefix):
			err := checkRoleScope(restriction.ClusterRole, scope)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
	}
	if errs == nil {
		return fmt.Errorf("%s did not match any scope restriction", scope)
	}
	return utilerrors.NewAggregate(errs)
}

func checkRoleScope(restriction *oauthv1.ClusterRoleScopeRestriction, scope string) error {
	parsed, err := parseRoleScope(scope)
	if err != nil {
		return err
	}
	for _, approved := range []struct {
		ok      bool
		problem string
	}{
		{admits(restriction.RoleNames, parsed.role), "does not use an approved name"},
		{admits(restriction.Namespaces, parsed.namespace), "does not use an approved namespace"},
		{restriction.AllowEscalation || !parsed.escalating, "is not allowed to escalate"},
	} {
		if !approved.ok {
			return errors.New(scope + " " + approved.problem)
		}
	}
	return nil
}

// admits reports whether a name is on a list, or the list is open.
func admits(list []string, name string) bool {
	return slices.Contains(list, anything) || slices.Contains(list, name)
}
