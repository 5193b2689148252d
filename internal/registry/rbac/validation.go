package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/registry"
)

var (
	rulesPath       = field.NewPath("rules")
	roleRefPath     = field.NewPath("roleRef")
	subjectsPath    = field.NewPath("subjects")
	aggregationPath = field.NewPath("aggregationRule")
)

// validateRules checks the rules of a role. Rules of a role in a namespace can't be about URLs.
func validateRules(rules []rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	for i := range rules {
		errs = append(errs, validateRule(&rules[i], namespaced, rulesPath.Index(i))...)
	}
	return errs
}

func validateRule(rule *rbacv1.PolicyRule, namespaced bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(rule.Verbs) == 0 {
		errs = append(errs, field.Required(at.Child("verbs"), "verbs must contain at least one value"))
	}
	if len(rule.NonResourceURLs) > 0 {
		urls := at.Child("nonResourceURLs")
		if namespaced {
			errs = append(errs, field.Invalid(urls, rule.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
		}
		if len(rule.APIGroups) > 0 || len(rule.Resources) > 0 || len(rule.ResourceNames) > 0 {
			errs = append(errs, field.Invalid(urls, rule.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
		}
		return errs
	}
	if len(rule.APIGroups) == 0 {
		errs = append(errs, field.Required(at.Child("apiGroups"), "resource rules must supply at least one api group"))
	}
	if len(rule.Resources) == 0 {
		errs = append(errs, field.Required(at.Child("resources"), "resource rules must supply at least one resource"))
	}
	return errs
}

func validateAggregation(rule *rbacv1.AggregationRule) field.ErrorList {
	if rule == nil {
		return nil
	}
	selectors := aggregationPath.Child("clusterRoleSelectors")
	if len(rule.ClusterRoleSelectors) == 0 {
		return field.ErrorList{field.Required(selectors, "at least one clusterRoleSelector required if aggregationRule is non-nil")}
	}
	var errs field.ErrorList
	for i := range rule.ClusterRoleSelectors {
		at := selectors.Index(i)
		errs = append(errs, metavalidation.ValidateLabelSelector(&rule.ClusterRoleSelectors[i], metavalidation.LabelSelectorValidationOptions{}, at)...)
		if selector, err := metav1.LabelSelectorAsSelector(&rule.ClusterRoleSelectors[i]); err != nil {
			errs = append(errs, field.Invalid(at, selector, "invalid label selector."))
		}
	}
	return errs
}

// validateRoleBinding checks a binding of either kind. kinds are the kinds of roles that it may give.
func validateRoleBinding(role rbacv1.RoleRef, subjects []rbacv1.Subject, namespaced bool, kinds ...string) field.ErrorList {
	var errs field.ErrorList
	if role.APIGroup != rbacv1.GroupName {
		errs = append(errs, field.NotSupported(roleRefPath.Child("apiGroup"), role.APIGroup, []string{rbacv1.GroupName}))
	}
	if !slices.Contains(kinds, role.Kind) {
		errs = append(errs, field.NotSupported(roleRefPath.Child("kind"), role.Kind, kinds))
	}
	if role.Name == "" {
		errs = append(errs, field.Required(roleRefPath.Child("name"), ""))
	} else {
		errs = append(errs, registry.Problems(roleRefPath.Child("name"), role.Name, content.IsPathSegmentName)...)
	}
	for i := range subjects {
		errs = append(errs, validateSubject(&subjects[i], namespaced, subjectsPath.Index(i))...)
	}
	return errs
}

func validateSubject(s *rbacv1.Subject, namespaced bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	ofGroup := func(group string) {
		if s.APIGroup != group {
			errs = append(errs, field.NotSupported(at.Child("apiGroup"), s.APIGroup, []string{group}))
		}
	}
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Name != "" {
			errs = append(errs, registry.Problems(at.Child("name"), s.Name, func(name string) []string {
				return validation.ValidateServiceAccountName(name, false)
			})...)
		}
		ofGroup("")
		if !namespaced && s.Namespace == "" {
			errs = append(errs, field.Required(at.Child("namespace"), ""))
		}
	case rbacv1.UserKind, rbacv1.GroupKind:
		ofGroup(rbacv1.GroupName)
	default:
		errs = append(errs, field.NotSupported(at.Child("kind"), s.Kind,
			[]string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
	}
	return errs
}

// validateRoleRefUpdate checks that a binding still gives the role that it was made for.
func validateRoleRefUpdate(role, old rbacv1.RoleRef) field.ErrorList {
	if role == old {
		return nil
	}
	// The names in the text are those of kube-apiserver's internal type.
	shown := struct{ APIGroup, Kind, Name string }{role.APIGroup, role.Kind, role.Name}
	return field.ErrorList{field.Invalid(roleRefPath, shown, "cannot change roleRef")}
}

// validateRoleName allows any path segment, or with prefix the beginning of one for a generated name.
func validateRoleName(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}
