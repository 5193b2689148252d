package apiserver

import (
	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// withoutTokens is an audit policy whose records hold the bodies of requests and answers only for resources that have no
// secrets in them, whatever the policy file asks for. The caller and the request itself are recorded as ever.
type withoutTokens struct{ audit.PolicyRuleEvaluator }

// EvaluatePolicyRule says how much of a request is recorded.
func (w withoutTokens) EvaluatePolicyRule(attributes authorizer.Attributes) audit.RequestAuditConfig {
	config := w.PolicyRuleEvaluator.EvaluatePolicyRule(attributes)
	if auditapi.LevelMetadata.Less(config.Level) && mayHoldSecrets(attributes) {
		config.Level = auditapi.LevelMetadata
	}
	return config
}

// withoutSecrets are the resources, and subresources, whose bodies hold neither tokens nor other secrets. A resource that is
// not named here counts as one that does. In oauth.openshift.io clients have secrets, the objects that stand for tokens hold
// the codes that they were traded for, and codes hold the keys that prove whose they are.
var withoutSecrets = func() sets.Set[schema.GroupResource] {
	all := sets.New[schema.GroupResource]()
	for group, resources := range map[string][]string{
		corev1.GroupName: {
			"namespaces", "namespaces/status", "namespaces/finalize", "serviceaccounts", "nodes", "nodes/status",
			"pods", "pods/status", "pods/binding", "events",
		},
		authenticationv1.GroupName: {"selfsubjectreviews"},
		authorizationv1.GroupName: {
			"subjectaccessreviews", "localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews",
		},
		certificatesv1.GroupName: {
			"certificatesigningrequests", "certificatesigningrequests/approval", "certificatesigningrequests/status",
		},
		coordinationv1.GroupName: {"leases"},
		eventsv1.GroupName:       {"events"},
		rbacv1.GroupName:         {"roles", "rolebindings", "clusterroles", "clusterrolebindings"},
		oauthv1.GroupName:        {"oauthclientauthorizations"},
		userv1.GroupName:         {"users", "groups", "identities", "useridentitymappings"},
	} {
		for _, resource := range resources {
			all.Insert(schema.GroupResource{Group: group, Resource: resource})
		}
	}
	return all
}()

// mayHoldSecrets reports whether the body of a request or of its answer may have a token or another secret in it.
func mayHoldSecrets(attributes authorizer.Attributes) bool {
	if !attributes.IsResourceRequest() {
		return false
	}
	name := attributes.GetResource()
	if subresource := attributes.GetSubresource(); subresource != "" {
		name += "/" + subresource
	}
	return !withoutSecrets.Has(schema.GroupResource{Group: attributes.GetAPIGroup(), Resource: name})
}
