package authz

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// openShiftCallerName is the common name of the client certificate with which a kube-apiserver of OpenShift calls its token
// webhook. No service account of that name need exist. Whoever may make the namespace and the account could have a token
// of that name, so the name alone means nothing.
const openShiftCallerName = "system:serviceaccount:openshift-oauth-apiserver:openshift-authenticator"

// certified is a user who came with a client certificate. internal/authn makes it.
type certified interface {
	user.Info
	FromClientCertificate()
}

func isOpenShiftCaller(u user.Info) bool {
	c, ok := u.(certified)
	return ok && c.GetName() == openShiftCallerName
}

// openShiftCaller lets that kube-apiserver have tokens of oauth.openshift.io reviewed, and do nothing else. It is asked
// before all modes, as in OpenShift: a mode may call a webhook, which may need a review before it answers.
type openShiftCaller struct{}

var openShiftCallerRule = may("create", oauthGroup, "tokenreviews")

// Authorize allows that one thing.
func (openShiftCaller) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if !isOpenShiftCaller(a.GetUser()) || !a.IsResourceRequest() ||
		a.GetVerb() != "create" || a.GetAPIGroup() != oauthGroup || a.GetResource() != "tokenreviews" ||
		a.GetSubresource() != "" || a.GetNamespace() != "" {
		return authorizer.DecisionNoOpinion, "", nil
	}
	return authorizer.DecisionAllow, "requesting tokenreviews is allowed", nil
}

// RulesFor returns the one rule for that kube-apiserver, and none for other users.
func (openShiftCaller) RulesFor(_ context.Context, u user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if !isOpenShiftCaller(u) {
		return nil, nil, false, nil
	}
	rule := openShiftCallerRule
	return []authorizer.ResourceRuleInfo{&authorizer.DefaultResourceRuleInfo{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources}}, nil, false, nil
}
