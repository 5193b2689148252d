package authz_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

const noIssuerForAll = "--anonymous-issuer-discovery=false"

// as returns the administrator's client in somebody else's name.
func as(t *testing.T, server *testserver.Server, name string, groups ...string) kubernetes.Interface {
	t.Helper()
	config := server.AdminConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: groups}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// delegate lets a user issue tokens for one account of a namespace.
func delegate(t *testing.T, admin kubernetes.Interface, namespace, account, to string) {
	t.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "issue-" + account},
		Rules: []rbacv1.PolicyRule{{
			Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{account},
		}},
	}
	must[*rbacv1.Role](t)(admin.RbacV1().Roles(namespace).Create(t.Context(), role, metav1.CreateOptions{}))
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "issue-" + account},
		RoleRef:    rbacv1.RoleRef{Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "User", Name: to}},
	}
	must[*rbacv1.RoleBinding](t)(admin.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}))
}

// A grant counts from when it is acknowledged, and so does its end, whatever the order of what is made and unmade.
func TestGrantsAreNeverStale(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin, jane := server.Admin(), as(t, server, "jane")
	for _, name := range []string{"app", "other"} {
		must[*corev1.ServiceAccount](t)(admin.CoreV1().ServiceAccounts("default").Create(t.Context(),
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	}
	ask := func(account string) error {
		_, err := jane.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		return err
	}
	for range 20 {
		if err := ask("app"); !apierrors.IsForbidden(err) {
			t.Fatalf("without a grant: %v", err)
		}
		delegate(t, admin, "default", "app", "jane")
		if err := ask("app"); err != nil {
			t.Fatal(err)
		}
		if err := ask("other"); !apierrors.IsForbidden(err) {
			t.Fatalf("a token of another account: %v", err)
		}
		if err := admin.RbacV1().RoleBindings("default").Delete(t.Context(), "issue-app", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := ask("app"); !apierrors.IsForbidden(err) {
			t.Fatalf("after the grant: %v", err)
		}
		if err := admin.RbacV1().Roles("default").Delete(t.Context(), "issue-app", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// The delegating authorizer of k8s.io/apiserver, which kube-rbac-proxy, metrics-server and every aggregated API server
// embed, works with the rights of system:auth-delegator.
func TestDelegatingAuthorizer(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin := server.Admin()
	delegate(t, admin, "default", "app", "jane")
	must[*rbacv1.ClusterRoleBinding](t)(admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "proxy"},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "proxy"}},
	}, metav1.CreateOptions{}))
	delegating := must[authorizer.Authorizer](t)(authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: as(t, server, "system:serviceaccount:default:proxy").AuthorizationV1(),
		AllowCacheTTL:             time.Second,
		DenyCacheTTL:              time.Second,
		WebhookRetryBackoff:       genericoptions.DefaultAuthWebhookRetryBackoff(),
	}.New())
	for _, test := range []struct {
		user, account string
		want          authorizer.Decision
		reason        string
	}{
		{user: "jane", account: "app", want: authorizer.DecisionAllow, reason: `RBAC: allowed by RoleBinding "issue-app/default" of Role "issue-app" to User "jane"`},
		{user: "jane", account: "other", want: authorizer.DecisionNoOpinion},
		{user: "joe", account: "app", want: authorizer.DecisionNoOpinion},
	} {
		decision, reason, err := delegating.Authorize(t.Context(), authorizer.AttributesRecord{
			User: &user.DefaultInfo{Name: test.user}, Verb: "create", APIVersion: "v1", Resource: "serviceaccounts", Subresource: "token",
			Namespace: "default", Name: test.account, ResourceRequest: true,
		})
		if err != nil || decision != test.want || reason != test.reason {
			t.Errorf("%s, %s: %v, %q, %v", test.user, test.account, decision, reason, err)
		}
	}
}

// A server that starts again adds what is missing in the default roles, unless told not to, and leaves alone what was
// added.
func TestDefaultRolesAreReconciled(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var first, second map[string]string
	t.Run("first start", func(t *testing.T) {
		admin := testserver.Start(t, "--data-dir="+folder).Admin()
		roles := admin.RbacV1().ClusterRoles()
		basic := must[*rbacv1.ClusterRole](t)(roles.Get(t.Context(), "system:basic-user", metav1.GetOptions{}))
		basic.Rules = []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/mine"}}}
		must[*rbacv1.ClusterRole](t)(roles.Update(t.Context(), basic, metav1.UpdateOptions{}))
		monitoring := must[*rbacv1.ClusterRole](t)(roles.Get(t.Context(), "system:monitoring", metav1.GetOptions{}))
		monitoring.Rules, monitoring.Annotations = nil, map[string]string{rbacv1.AutoUpdateAnnotationKey: "false"}
		must[*rbacv1.ClusterRole](t)(roles.Update(t.Context(), monitoring, metav1.UpdateOptions{}))
		if err := admin.RbacV1().ClusterRoleBindings().Delete(t.Context(), "system:discovery", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		first = versions(t, admin)
	})
	admin := testserver.Start(t, "--data-dir="+folder).Admin()
	second = versions(t, admin)
	for _, name := range []string{"clusterroles/system:basic-user", "clusterrolebindings/system:discovery"} {
		if first[name] == second[name] {
			t.Errorf("%s was not brought back", name)
		}
		delete(first, name)
		delete(second, name)
	}
	for name, version := range first {
		if second[name] != version {
			t.Errorf("%s was written without need", name)
		}
	}
	basic := must[*rbacv1.ClusterRole](t)(admin.RbacV1().ClusterRoles().Get(t.Context(), "system:basic-user", metav1.GetOptions{}))
	if n := len(basic.Rules); n != 4 {
		t.Errorf("%d rules: %v", n, basic.Rules)
	}
}

// versions are the versions of all cluster roles and their bindings.
func versions(t *testing.T, admin kubernetes.Interface) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, role := range must[*rbacv1.ClusterRoleList](t)(admin.RbacV1().ClusterRoles().List(t.Context(), metav1.ListOptions{})).Items {
		if role.AggregationRule == nil { // these are the controller's
			found["clusterroles/"+role.Name] = role.ResourceVersion
		}
	}
	for _, binding := range must[*rbacv1.ClusterRoleBindingList](t)(admin.RbacV1().ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})).Items {
		found["clusterrolebindings/"+binding.Name] = binding.ResourceVersion
	}
	return found
}

// Cluster roles gather the rules of those that they select, over several steps, and let go of them again.
func TestAggregation(t *testing.T) {
	t.Parallel()
	admin := testserver.Start(t).Admin()
	roles := admin.RbacV1().ClusterRoles()
	part := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "mine", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"mine"}, Resources: []string{"things"}}},
	}
	must[*rbacv1.ClusterRole](t)(roles.Create(t.Context(), part, metav1.CreateOptions{}))
	has := func(name string) bool {
		role := must[*rbacv1.ClusterRole](t)(roles.Get(t.Context(), name, metav1.GetOptions{}))
		return slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.APIGroups, "mine") })
	}
	settle := func(want bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for has("view") != want || has("edit") != want || has("admin") != want {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("view, edit and admin: %t, %t, %t; want %t", has("view"), has("edit"), has("admin"), want)
			}
		}
	}
	settle(true)
	if _, err := roles.Patch(t.Context(), "mine", types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	settle(false)
}

// Whoever asks about everybody is told of everybody's right to the issuer's documents, which no role gives.
func TestPublicIssuerIsNoRole(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]bool{"--anonymous-issuer-discovery=true": true, noIssuerForAll: false} {
		admin := testserver.Start(t, "--controllers=", flag).Admin()
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "stranger", NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/openid/v1/jwks", Verb: "get"},
		}}
		answer := must[*authorizationv1.SubjectAccessReview](t)(admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{}))
		if answer.Status.Allowed != want {
			t.Errorf("%s: %+v", flag, answer.Status)
		}
	}
}

// The mode Webhook asks another server, in its turn.
func TestWebhook(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":{"allowed":true,"reason":"because"}}`))
	}))
	t.Cleanup(other.Close)
	file := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	config := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],
clusters: [{name: c, cluster: {server: "` + other.URL + `/decide"}}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server := testserver.Start(t, "--controllers=", "--authorization-mode=RBAC,Webhook",
		"--authorization-webhook-config-file="+file, "--authorization-webhook-version=v1")
	if _, err := as(t, server, "stranger").CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	if n := len(asked); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
