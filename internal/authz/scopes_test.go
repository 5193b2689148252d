package authz_test

import (
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/testserver"
)

// An access token is good for what its scopes cover and its user may do, whichever is less.
func TestScopes(t *testing.T) {
	t.Parallel()
	admin := testserver.Start(t, "--controllers=", "--openshift-api").Admin()
	role := func(name string, rules ...rbacv1.PolicyRule) {
		must[*rbacv1.ClusterRole](t)(admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{}))
	}
	role("all", rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}})
	role("team:pods", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods", "nodes"}})
	must[*rbacv1.ClusterRoleBinding](t)(admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "ada"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "ada"}},
	}, metav1.CreateOptions{}))

	ask := func(who string, scopes []string, what *authorizationv1.ResourceAttributes, path string) *authorizationv1.SubjectAccessReview {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: who, Groups: []string{"system:authenticated"}, ResourceAttributes: what,
			Extra: map[string]authorizationv1.ExtraValue{"scopes.authorization.openshift.io": scopes},
		}}
		if what == nil {
			review.Spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Verb: "get", Path: path}
		}
		return must[*authorizationv1.SubjectAccessReview](t)(admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{}))
	}
	of := func(verb, group, resource, namespace string) *authorizationv1.ResourceAttributes {
		return &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Namespace: namespace}
	}
	me, other := of("get", "user.openshift.io", "users", ""), of("get", "user.openshift.io", "users", "")
	me.Name, other.Name = "~", "bob"
	token := of("create", "", "serviceaccounts", "a")
	token.Subresource = "token"
	whoami := of("create", "authentication.k8s.io", "selfsubjectreviews", "")
	mayI := of("create", "authorization.k8s.io", "selfsubjectaccessreviews", "")
	for _, test := range []struct {
		scopes  string
		what    *authorizationv1.ResourceAttributes
		allowed bool
	}{
		{"", of("delete", "", "secrets", "a"), true},
		{"user:full", of("delete", "", "secrets", "a"), true},
		{"user:info", me, true},
		{"user:info", other, false},
		{"user:info", whoami, false},
		{"user:info", of("get", "", "pods", "a"), false},
		{"user:check-access", mayI, true},
		{"user:check-access", me, false},
		{"user:list-projects", me, false},
		{"user:nonsense", me, false},
		{"role:team:pods:a", of("get", "", "pods", "a"), true},
		{"role:team:pods:a", of("delete", "", "pods", "a"), false},
		{"role:team:pods:a", of("get", "", "pods", "b"), false},
		{"role:team:pods:a", of("get", "", "nodes", ""), false},
		{"role:team:pods:*", of("get", "", "nodes", ""), true},
		{"role:team:pods:*", of("get", "", "pods", "b"), true},
		{"role:nobody:*", of("get", "", "pods", "a"), false},
		{"role:all", me, false},
		{"role:all:*", of("delete", "", "pods", "a"), true},
		{"role:all:*", of("get", "", "secrets", "a"), false},
		{"role:all:*", token, false},
		{"role:all:*", of("get", "oauth.openshift.io", "oauthaccesstokens", ""), false},
		{"role:all:*", of("create", "user.openshift.io", "groups", ""), false},
		{"role:all:*", of("list", "user.openshift.io", "groups", ""), true},
		{"role:all:*", of("create", rbacv1.GroupName, "rolebindings", "a"), false},
		{"role:all:*", of("get", rbacv1.GroupName, "rolebindings", "a"), true},
		{"role:all:*", of("impersonate", "", "users", ""), false},
		{"role:all:*", of("approve", "certificates.k8s.io", "signers", ""), false},
		{"role:all:*", of("create", "certificates.k8s.io", "certificatesigningrequests", ""), true},
		{"role:all:*:!", of("impersonate", "", "users", ""), true},
		{"role:all:*:!", of("get", "", "secrets", "a"), true},
		{"role:all:a:!", of("get", "", "secrets", "a"), true},
		{"role:all:a:!", of("get", "", "secrets", "b"), false},
	} {
		var scopes []string
		if test.scopes != "" {
			scopes = []string{"user:list-projects", test.scopes}
		}
		got := ask("ada", scopes, test.what, "").Status
		if got.Allowed != test.allowed {
			t.Errorf("%s, %v: allowed %t", test.scopes, test.what, got.Allowed)
		}
		if want := "scopes [user:list-projects " + test.scopes + "] prevent this action"; !test.allowed && (got.Reason != want || !got.Denied) {
			t.Errorf("%s, %v: denied %t, %q", test.scopes, test.what, got.Denied, got.Reason)
		}
	}
	if !ask("ada", []string{"user:info"}, nil, "/apis/user.openshift.io/v1").Status.Allowed {
		t.Error("a scope is in the way of discovery")
	}
	if ask("ada", []string{"user:info"}, nil, "/metrics").Status.Allowed {
		t.Error("user:info is good for metrics")
	}
	if ask("bob", []string{"user:full"}, of("get", "", "pods", "a"), "").Status.Allowed {
		t.Error("a scope is taken for a right")
	}
}
