package rbac

import (
	"context"
	"errors"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/mintmark/mintmark/internal/authz"
)

// EscalationCheck keeps callers from giving rights that they don't have.
type EscalationCheck struct {
	// Index has the rules of callers and of roles.
	Index *authz.Index
	// Authorizer decides about the verbs escalate and bind.
	Authorizer authorizer.UnconditionalAuthorizer
}

// permitRole returns an error if the caller may not give a role these rules.
func (g EscalationCheck) permitRole(ctx context.Context, resource, name string, rules []rbacv1.PolicyRule, aggregates bool) error {
	if authz.IsPrivileged(ctx) || g.mayEscalate(ctx) {
		return nil
	}
	if err := g.Index.ConfirmNoEscalation(ctx, rules); err != nil {
		return apierrors.NewForbidden(rbacv1.Resource(resource), name, err)
	}
	if !aggregates {
		return nil
	}
	// Such a role may aggregate any rules later.
	if g.Index.ConfirmNoEscalation(ctx, everything) != nil {
		return apierrors.NewForbidden(rbacv1.Resource(resource), name, errors.New("must have cluster-admin privileges to use the aggregationRule"))
	}
	return nil
}

var everything = []rbacv1.PolicyRule{
	{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
	{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
}

// permitBinding returns an error if the caller may not bind subjects to a role.
func (g EscalationCheck) permitBinding(ctx context.Context, resource, name string, role rbacv1.RoleRef) error {
	namespace := genericapirequest.NamespaceValue(ctx)
	if authz.IsPrivileged(ctx) || g.mayBind(ctx, role, namespace) {
		return nil
	}
	rules, err := g.Index.RulesOf(ctx, role, namespace)
	switch {
	case apierrors.IsNotFound(err):
		return apierrors.NewNotFound(rbacv1.Resource(resource), role.Name)
	case err != nil:
		return err
	}
	if err := g.Index.ConfirmNoEscalation(ctx, rules); err != nil {
		return apierrors.NewForbidden(rbacv1.Resource(resource), name, err)
	}
	return nil
}

// mayEscalate reports whether the caller has the verb escalate on the object of the request. An object that is being
// created has no name yet.
func (g EscalationCheck) mayEscalate(ctx context.Context) bool {
	info, ok := genericapirequest.RequestInfoFrom(ctx)
	return ok && g.may(ctx, authorizer.AttributesRecord{
		Verb:            "escalate",
		APIGroup:        info.APIGroup,
		APIVersion:      "*",
		Resource:        info.Resource,
		Namespace:       info.Namespace,
		Name:            info.Name,
		ResourceRequest: true,
	})
}

// mayBind reports whether the caller has the verb bind on a role, in the namespace of the binding.
func (g EscalationCheck) mayBind(ctx context.Context, role rbacv1.RoleRef, namespace string) bool {
	resource := "roles"
	if role.Kind == "ClusterRole" {
		resource = "clusterroles"
	}
	return g.may(ctx, authorizer.AttributesRecord{
		Verb:            "bind",
		APIGroup:        role.APIGroup,
		APIVersion:      "*",
		Resource:        resource,
		Namespace:       namespace,
		Name:            role.Name,
		ResourceRequest: true,
	})
}

func (g EscalationCheck) may(ctx context.Context, what authorizer.AttributesRecord) bool {
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return false
	}
	what.User = caller
	decision, _, err := g.Authorizer.Authorize(ctx, what)
	return err == nil && decision == authorizer.DecisionAllow
}
