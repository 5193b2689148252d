package apiserver

import (
	oauthv1 "github.com/openshift/api/oauth/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// withoutTokens is an audit policy whose records of requests that have tokens or other secrets in them, or in their
// answers, never hold the bodies, whatever the policy file asks for. Who asked, and what for, is recorded as ever.
type withoutTokens struct{ audit.PolicyRuleEvaluator }

// EvaluatePolicyRule says how much of a request is recorded.
func (w withoutTokens) EvaluatePolicyRule(attributes authorizer.Attributes) audit.RequestAuditConfig {
	config := w.PolicyRuleEvaluator.EvaluatePolicyRule(attributes)
	if holdsTokens(attributes) && auditapi.LevelMetadata.Less(config.Level) {
		config.Level = auditapi.LevelMetadata
	}
	return config
}

func holdsTokens(attributes authorizer.Attributes) bool {
	if !attributes.IsResourceRequest() {
		return false
	}
	switch group, resource := attributes.GetAPIGroup(), attributes.GetResource(); {
	case (group == authenticationv1.GroupName || group == oauthv1.GroupName) && resource == "tokenreviews":
		return true
	case group == corev1.GroupName && resource == "secrets":
		return true
	case group == corev1.GroupName && resource == "serviceaccounts":
		return attributes.GetSubresource() == "token"
	case group == oauthv1.GroupName:
		// Clients have secrets. The objects that stand for tokens hold the codes that they were traded for, and codes the
		// keys that prove whose they are.
		return resource != "oauthclientauthorizations"
	}
	return false
}
