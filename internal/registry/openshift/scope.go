package openshift

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	oauthv1 "github.com/openshift/api/oauth/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/authz"
)

// userScopes are the scopes that concern the user. Scopes of roles are written role:NAME:NAMESPACE. With :! behind it they
// include requests that lead to further rights, such as for secrets.
var userScopes = []string{authz.ScopeFull, scopeInfo, scopeCheckAccess, scopeListScopedProjects, scopeListProjects}

const (
	scopeInfo               = authz.ScopeInfo
	scopeCheckAccess        = authz.ScopeCheckAccess
	scopeListScopedProjects = "user:list-scoped-projects"
	scopeListProjects       = "user:list-projects"

	anything = "*"
)

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
	case strings.HasPrefix(scope, authz.ScopeRolePrefix):
		if _, err := authz.ParseRoleScope(scope); err != nil {
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

// checkScope is satisfied by one restriction that admits the scope. Otherwise the error has the reasons of the restrictions that know its form.
func checkScope(restrictions []oauthv1.ScopeRestriction, scope string) error {
	var errs []error
	for _, restriction := range restrictions {
		switch {
		case len(restriction.ExactValues) > 0:
			if slices.Contains(restriction.ExactValues, scope) {
				return nil
			}
			errs = append(errs, fmt.Errorf("%s not found in %v", scope, restriction.ExactValues))
		case restriction.ClusterRole != nil && strings.HasPrefix(scope, authz.ScopeRolePrefix):
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
	parsed, err := authz.ParseRoleScope(scope)
	if err != nil {
		return err
	}
	for _, approved := range []struct {
		ok      bool
		problem string
	}{
		{admits(restriction.RoleNames, parsed.Role), "does not use an approved name"},
		{admits(restriction.Namespaces, parsed.Namespace), "does not use an approved namespace"},
		{restriction.AllowEscalation || !parsed.Escalating, "is not allowed to escalate"},
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
