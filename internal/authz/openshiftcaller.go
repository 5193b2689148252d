package authz

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// openShiftCallerName is who a kube-apiserver of OpenShift is when it calls its token webhook. It has a certificate of
// that name; there needn't be such an account.
const openShiftCallerName = "system:serviceaccount:openshift-oauth-apiserver:openshift-authenticator"

// openShiftCaller lets that kube-apiserver have tokens of oauth.openshift.io reviewed, and do nothing else. It is asked
// before all modes, as in OpenShift: logging in must not depend on a mode that may need somebody to be logged in.
type openShiftCaller struct{}

var openShiftCallerRule = may("create", oauthGroup, "tokenreviews")

// Authorize allows that one thing.
func (openShiftCaller) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetUser() == nil || a.GetUser().GetName() != openShiftCallerName || !a.IsResourceRequest() ||
		a.GetVerb() != "create" || a.GetAPIGroup() != oauthGroup || a.GetResource() != "tokenreviews" ||
		a.GetSubresource() != "" || a.GetNamespace() != "" {
		return authorizer.DecisionNoOpinion, "", nil
	}
	return authorizer.DecisionAllow, "requesting tokenreviews is allowed", nil
}

// RulesFor returns the one rule, to whom it is for.
func (openShiftCaller) RulesFor(_ context.Context, u user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if u.GetName() != openShiftCallerName {
		return nil, nil, false, nil
	}
	rule := openShiftCallerRule
	return []authorizer.ResourceRuleInfo{&authorizer.DefaultResourceRuleInfo{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources}}, nil, false, nil
}
