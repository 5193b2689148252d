package authz

import (
	"context"
	"errors"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Question is the user and the request that an access review asks about. One of the two kinds of attributes is set.
type Question struct {
	User        user.Info
	Resource    *authorizationv1.ResourceAttributes
	NonResource *authorizationv1.NonResourceAttributes
}

// Subject is the user that a review describes. No groups are added: the review must name all groups that the user has.
func Subject(spec *authorizationv1.SubjectAccessReviewSpec) user.Info {
	info := &user.DefaultInfo{Name: spec.User, UID: spec.UID, Groups: spec.Groups}
	if len(spec.Extra) > 0 {
		info.Extra = make(map[string][]string, len(spec.Extra))
		for key, values := range spec.Extra {
			info.Extra[key] = values
		}
	}
	return info
}

// Review answers a question as the same request would be decided.
func Review(ctx context.Context, z authorizer.UnconditionalAuthorizer, q Question) authorizationv1.SubjectAccessReviewStatus {
	attributes := q.attributes()
	decision, reason, err := z.Authorize(ctx, attributes)
	status := authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow,
		Denied:  decision == authorizer.DecisionDeny,
		Reason:  reason,
	}
	var problems []string
	if err != nil {
		problems = append(problems, err.Error())
	}
	if attributes.FieldSelectorParsingErr != nil {
		problems = append(problems, "spec.resourceAttributes.fieldSelector ignored due to parse error")
	}
	if attributes.LabelSelectorParsingErr != nil {
		problems = append(problems, "spec.resourceAttributes.labelSelector ignored due to parse error")
	}
	status.EvaluationError = strings.Join(problems, "; ")
	return status
}

func (q Question) attributes() authorizer.AttributesRecord {
	if q.Resource == nil {
		return authorizer.AttributesRecord{User: q.User, Verb: q.NonResource.Verb, Path: q.NonResource.Path}
	}
	r := q.Resource
	record := authorizer.AttributesRecord{
		User:            q.User,
		Verb:            r.Verb,
		Namespace:       r.Namespace,
		APIGroup:        r.Group,
		APIVersion:      r.Version,
		Resource:        r.Resource,
		Subresource:     r.Subresource,
		Name:            r.Name,
		ResourceRequest: true,
	}
	switch r.Verb {
	case "list", "watch", "deletecollection":
		if r.FieldSelector != nil {
			record.FieldSelectorRequirements, record.FieldSelectorParsingErr = fieldRequirements(r.FieldSelector)
		}
		if r.LabelSelector != nil {
			record.LabelSelectorRequirements, record.LabelSelectorParsingErr = labelRequirements(r.LabelSelector)
		}
	}
	return record
}

// fieldRequirements reads what can be read of a selector: the more requirements are left out, the more is asked for.
func fieldRequirements(s *authorizationv1.FieldSelectorAttributes) (fields.Requirements, error) {
	if s.RawSelector != "" {
		selector, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return nil, err
		}
		return selector.Requirements(), nil
	}
	operators := map[string]selection.Operator{"In": selection.Equals, "NotIn": selection.NotEquals}
	var known fields.Requirements
	var unknown error
	for _, r := range s.Requirements {
		operator, ok := operators[string(r.Operator)]
		if !ok || len(r.Values) != 1 {
			unknown = errors.New("a requirement that is none of fields")
			continue
		}
		known = append(known, fields.Requirement{Field: r.Key, Operator: operator, Value: r.Values[0]})
	}
	return known, unknown
}

func labelRequirements(s *authorizationv1.LabelSelectorAttributes) (labels.Requirements, error) {
	if s.RawSelector != "" {
		return labels.ParseToRequirements(s.RawSelector)
	}
	operators := map[string]selection.Operator{
		"In": selection.In, "NotIn": selection.NotIn, "Exists": selection.Exists, "DoesNotExist": selection.DoesNotExist,
	}
	var known labels.Requirements
	var unknown error
	for _, r := range s.Requirements {
		operator, ok := operators[string(r.Operator)]
		if !ok {
			unknown = errors.New("a requirement that is none of labels")
			continue
		}
		requirement, err := labels.NewRequirement(r.Key, operator, r.Values)
		if err != nil {
			unknown = err
			continue
		}
		known = append(known, *requirement)
	}
	return known, unknown
}

// ReviewRules answers which rules a user has in a namespace.
func ReviewRules(ctx context.Context, z authorizer.RuleResolver, u user.Info, namespace string) authorizationv1.SubjectRulesReviewStatus {
	resources, urls, incomplete, err := z.RulesFor(ctx, u, namespace)
	status := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    make([]authorizationv1.ResourceRule, 0, len(resources)),
		NonResourceRules: make([]authorizationv1.NonResourceRule, 0, len(urls)),
		Incomplete:       incomplete,
	}
	for _, r := range resources {
		status.ResourceRules = append(status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: r.GetVerbs(), APIGroups: r.GetAPIGroups(), Resources: r.GetResources(), ResourceNames: r.GetResourceNames(),
		})
	}
	for _, r := range urls {
		status.NonResourceRules = append(status.NonResourceRules, authorizationv1.NonResourceRule{
			Verbs: r.GetVerbs(), NonResourceURLs: r.GetNonResourceURLs(),
		})
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	return status
}
