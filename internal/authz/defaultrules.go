package authz

import (
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// workloads are the resources of a group whose objects run pods, with those of their subresources that count.
func workloads(subresource string) []string {
	list := []string{"daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets", "statefulsets/scale"}
	if subresource != "" {
		list = append(list, "deployments/"+subresource)
	}
	return list
}

func adminRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		may("create", "authorization.k8s.io", "localsubjectaccessreviews"),
		may(readWrite, rbacv1.GroupName, "roles", "rolebindings"),
	}
}

// editRules let a user act as any account of the namespace: by a token, by impersonation, by a pod and by a secret.
func editRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		may(read, "", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"),
		may("impersonate", "", "serviceaccounts"),
		may(write, "", "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
		may("create", "", "pods/eviction"),
		may(write, "", "configmaps", "events", "persistentvolumeclaims", "replicationcontrollers", "replicationcontrollers/scale",
			"secrets", "serviceaccounts", "services", "services/proxy"),
		may("create", "", "serviceaccounts/token"),
		may(write, "apps", workloads("rollback")...),
		may(write, "autoscaling", "horizontalpodautoscalers"),
		may(write, "batch", "cronjobs", "jobs"),
		may(write, "policy", "poddisruptionbudgets"),
		may(write, "networking.k8s.io", "ingresses", "networkpolicies"),
		may(readWrite, "coordination.k8s.io", "leases"),
	}
}

// viewRules leave out secrets and tokens: they would lead to all that the accounts may do.
func viewRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		may(read, "", "configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods",
			"replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services", "services/status"),
		may(read, "", "bindings", "events", "limitranges", "namespaces/status", "pods/log", "pods/status",
			"replicationcontrollers/status", "resourcequotas", "resourcequotas/status"),
		may(read, "", "namespaces"),
		may(read, "discovery.k8s.io", "endpointslices"),
		may(read, "apps", append(workloads("status"), "controllerrevisions", "daemonsets/status", "replicasets/status", "statefulsets/status")...),
		may(read, "autoscaling", "horizontalpodautoscalers", "horizontalpodautoscalers/status"),
		may(read, "batch", "cronjobs", "cronjobs/status", "jobs", "jobs/status"),
		may(read, "policy", "poddisruptionbudgets", "poddisruptionbudgets/status"),
		may(read, "networking.k8s.io", "ingresses", "ingresses/status", "networkpolicies"),
	}
}

// nodeRules are the rules of a kubelet about tokens, accounts, pods and nodes. The role has no subjects by default: in the
// Node mode, a node gets these rules narrowed to its own objects.
func nodeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		may("create", "authentication.k8s.io", "tokenreviews"),
		may("create", "authorization.k8s.io", "localsubjectaccessreviews", "subjectaccessreviews"),
		may(read, "", "services"),
		may(read+" create", "", "nodes"),
		may("patch update", "", "nodes/status"),
		may("patch update", "", "nodes"),
		events(),
		may(read, "", "pods"),
		may("create delete", "", "pods"),
		may("patch update", "", "pods/status"),
		may("create", "", "pods/eviction"),
		may(read, "", "configmaps", "secrets"),
		may("get", "", "persistentvolumeclaims", "persistentvolumes"),
		may("get", "", "endpoints"),
		mayBootstrap,
		may("create", "", "serviceaccounts/token"),
		may("get", "", "serviceaccounts"),
		may("create delete get patch update", "coordination.k8s.io", "leases"),
	}
}

// mayBootstrap is the rule by which a node, or a machine that is to become one, gets its client certificate.
var mayBootstrap = may(read+" create", certificatesv1.GroupName, "certificatesigningrequests")

// kubernetesSigners are the signers that kube-controller-manager has.
var kubernetesSigners = []string{
	certificatesv1.KubeAPIServerClientSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName,
	certificatesv1.KubeletServingSignerName, "kubernetes.io/legacy-unknown",
}

// certificateRules are the rules about certificates, one a role. The roles have no subjects by default. Who may approve for a signer
// needs update on certificatesigningrequests/approval as well, which none of them gives.
func certificateRules() map[string]rbacv1.PolicyRule {
	const certificates = "system:certificates.k8s.io:"
	rules := map[string]rbacv1.PolicyRule{"system:node-bootstrapper": mayBootstrap}
	for _, kind := range []string{"nodeclient", "selfnodeclient"} {
		rules[certificates+"certificatesigningrequests:"+kind] = may("create", certificatesv1.GroupName, "certificatesigningrequests/"+kind)
	}
	for _, signer := range kubernetesSigners {
		rules[certificates+strings.TrimPrefix(signer, "kubernetes.io/")+"-approver"] = mayNamed("approve", certificatesv1.GroupName, "signers", signer)
	}
	return rules
}

func controllerManagerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		events(),
		may("create", "coordination.k8s.io", "leases"),
		mayNamed("get update", "coordination.k8s.io", "leases", "kube-controller-manager"),
		may("create", "", "secrets", "serviceaccounts"),
		may("delete", "", "secrets"),
		may("get", "", "configmaps", "namespaces", "secrets", "serviceaccounts"),
		may("update", "", "secrets", "serviceaccounts"),
		may("create", "authentication.k8s.io", "tokenreviews"),
		may("create", "authorization.k8s.io", "subjectaccessreviews"),
		may("list watch", "*", "*"),
		may("create", "", "serviceaccounts/token"),
	}
}

func schedulerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		events(),
		may("create", "coordination.k8s.io", "leases"),
		mayNamed("get update", "coordination.k8s.io", "leases", "kube-scheduler"),
		may(read, "", "nodes"),
		may(read+" delete", "", "pods"),
		may("create", "", "bindings", "pods/binding"),
		may("patch update", "", "pods/status"),
		may(read, "", "namespaces", "persistentvolumeclaims", "persistentvolumes", "replicationcontrollers", "services"),
		may(read, "apps", "replicasets", "statefulsets"),
		may(read, "policy", "poddisruptionbudgets"),
		may("create", "authentication.k8s.io", "tokenreviews"),
		may("create", "authorization.k8s.io", "subjectaccessreviews"),
	}
}

// controllerRules are the rules of controllers that run in this process. The roles are for running them elsewhere.
func controllerRules() map[string][]rbacv1.PolicyRule {
	return map[string][]rbacv1.PolicyRule{
		"service-account-controller": {may("create", "", "serviceaccounts"), events()},
		"legacy-service-account-token-cleaner": {
			mayNamed("get", "", "configmaps", "kube-apiserver-legacy-service-account-token-tracking"),
			may("delete patch", "", "secrets"),
		},
		"root-ca-cert-publisher": {may("create update", "", "configmaps"), events()},
		"certificate-controller": {
			may(read+" delete", certificatesv1.GroupName, "certificatesigningrequests"),
			may("update", certificatesv1.GroupName, "certificatesigningrequests/approval", "certificatesigningrequests/status"),
			mayNamed("approve", certificatesv1.GroupName, "signers", certificatesv1.KubeAPIServerClientKubeletSignerName),
			mayNamed("sign", certificatesv1.GroupName, "signers", kubernetesSigners...),
			may("create", "authorization.k8s.io", "subjectaccessreviews"),
			events(),
		},
		"clusterrole-aggregation-controller": {may("escalate get list patch update watch", rbacv1.GroupName, "clusterroles")},
	}
}
