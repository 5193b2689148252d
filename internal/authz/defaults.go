package authz

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// bootstrapping is the label by which the default objects are found.
const bootstrapping = "kubernetes.io/bootstrapping"

func defaultMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:   namespace,
		Name:        name,
		Labels:      map[string]string{bootstrapping: "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

// Verbs that often go together.
const (
	read      = "get list watch"
	write     = "create delete deletecollection patch update"
	readWrite = read + " " + write
)

// may is a rule about resources of a group. Verbs are separated by spaces.
func may(verbs, group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: sorted(strings.Fields(verbs)), APIGroups: []string{group}, Resources: sorted(resources)}
}

// mayNamed is a rule about some objects of a resource.
func mayNamed(verbs, group, resource string, names ...string) rbacv1.PolicyRule {
	r := may(verbs, group, resource)
	r.ResourceNames = sorted(names)
	return r
}

// mayGet is a rule about URLs.
func mayGet(urls ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: sorted(urls)}
}

// events is the rule that lets a component write events.
func events() rbacv1.PolicyRule {
	r := may("create patch update", "", "events")
	r.APIGroups = append(r.APIGroups, "events.k8s.io")
	return r
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// defaultClusterRoles are the default cluster roles of kube-apiserver that concern tokens, reviews, accounts and the
// resources served here, with the rules that they have there. The roles for users (admin, edit and view) are complete,
// since Mintmark may decide for servers that have the other resources.
func defaultClusterRoles() []*rbacv1.ClusterRole {
	var roles []*rbacv1.ClusterRole
	add := func(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
		role := &rbacv1.ClusterRole{ObjectMeta: defaultMeta("", name), Rules: rules}
		roles = append(roles, role)
		return role
	}
	add("cluster-admin", may("*", "*", "*"), rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}})
	add("system:discovery", discovery)
	add("system:public-info-viewer", mayGet("/livez", "/readyz", "/healthz", "/version", "/version/"))
	add("system:basic-user",
		may("create", "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
		may("create", "authentication.k8s.io", "selfsubjectreviews"))
	add("system:service-account-issuer-discovery", issuerDiscovery)
	add("system:auth-delegator",
		may("create", "authentication.k8s.io", "tokenreviews"),
		may("create", "authorization.k8s.io", "subjectaccessreviews"))
	add("mintmark:reviewer",
		may("create", "authentication.k8s.io", "tokenreviews"),
		may("get list watch", mintmarkv1alpha1.GroupName, "tokenreviewevents"))
	add("system:monitoring",
		mayGet("/metrics", "/metrics/slis", "/livez", "/readyz", "/healthz", "/livez/*", "/readyz/*", "/healthz/*", "/flagz", "/statusz"),
		may("get", "", "nodes/metrics"))

	gather := func(name, into string) {
		role := add(name)
		role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
			{MatchLabels: map[string]string{aggregateTo(name): "true"}},
		}}
		if into != "" {
			role.Labels[aggregateTo(into)] = "true"
		}
	}
	gather("admin", "")
	gather("edit", "admin")
	gather("view", "edit")
	for name, rules := range map[string][]rbacv1.PolicyRule{"admin": adminRules(), "edit": editRules(), "view": viewRules()} {
		add("system:aggregate-to-"+name, rules...).Labels[aggregateTo(name)] = "true"
	}

	add("system:node", nodeRules()...)
	for name, rule := range certificateRules() {
		add(name, rule)
	}
	add("system:kube-controller-manager", controllerManagerRules()...)
	add("system:kube-scheduler", schedulerRules()...)
	for name, rules := range controllerRules() {
		add("system:controller:"+name, rules...)
	}
	return roles
}

// aggregateTo is the label by which a default role selects the cluster roles that it aggregates.
func aggregateTo(name string) string { return rbacv1.GroupName + "/aggregate-to-" + name }

// discovery is the rule that clients need for discovery.
var discovery = mayGet("/livez", "/readyz", "/healthz", "/version", "/version/",
	"/openapi", "/openapi/*", "/api", "/api/*", "/apis", "/apis/*")

// issuerDiscovery is the rule that relying parties need.
var issuerDiscovery = mayGet(signingkey.ConfigurationPath, signingkey.ConfigurationPath+"/", signingkey.KeySetPath, signingkey.KeySetPath+"/")

// defaultClusterRoleBindings bind the default cluster roles. By default no subject may review tokens.
func defaultClusterRoleBindings() []*rbacv1.ClusterRoleBinding {
	bind := func(role string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
		return bindAs(role, role, subjects...)
	}
	bindings := []*rbacv1.ClusterRoleBinding{
		bind("cluster-admin", group(user.SystemPrivilegedGroup)),
		bind("system:discovery", group(user.AllAuthenticated)),
		bind("system:basic-user", group(user.AllAuthenticated)),
		bind("system:public-info-viewer", group(user.AllAuthenticated), group(user.AllUnauthenticated)),
		bind("system:service-account-issuer-discovery", group(serviceaccount.AllServiceAccountsGroup)),
		bind("system:monitoring", group(user.MonitoringGroup)),
		bind("system:node"),
		bind(user.KubeControllerManager, person(user.KubeControllerManager)),
		bind(user.KubeScheduler, person(user.KubeScheduler)),
	}
	for name := range controllerRules() {
		bindings = append(bindings, bind("system:controller:"+name,
			rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: name}))
	}
	return bindings
}

// bindAs is a binding of a cluster role under a name of its own.
func bindAs(name, role string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: defaultMeta("", name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects,
	}
}

// authenticationReader is the role by which a server behind the aggregator reads how request headers are verified.
const authenticationReader = "extension-apiserver-authentication-reader"

func defaultRoles() []*rbacv1.Role {
	return []*rbacv1.Role{{
		ObjectMeta: defaultMeta(metav1.NamespaceSystem, authenticationReader),
		Rules:      []rbacv1.PolicyRule{mayNamed(read, "", "configmaps", "extension-apiserver-authentication")},
	}}
}

func defaultRoleBindings() []*rbacv1.RoleBinding {
	return []*rbacv1.RoleBinding{{
		ObjectMeta: defaultMeta(metav1.NamespaceSystem, "system::"+authenticationReader),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: authenticationReader},
		Subjects:   []rbacv1.Subject{person(user.KubeControllerManager), person(user.KubeScheduler)},
	}}
}

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}
}

func person(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}
