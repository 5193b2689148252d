package authz_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/testserver"
)

// Who has an access token may see and revoke the own ones, and everybody may log out: delete a token that can be named.
func TestOpenShiftRoles(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=", "--openshift-api")
	do := func(client kubernetes.Interface, verb, resource string) error {
		group := "oauth.openshift.io"
		if strings.HasPrefix(resource, "users") || strings.HasPrefix(resource, "groups") {
			group = "user.openshift.io"
		}
		return client.Discovery().RESTClient().Verb(verb).AbsPath("/apis", group, "v1", resource).Do(t.Context()).Error()
	}
	const name = "/sha256~ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
	withToken := as(t, server, "ada", "system:authenticated:oauth", "system:authenticated")
	without := as(t, server, "bob", "system:authenticated")
	nobody := server.As("")
	installer := as(t, server, "kube:admin", "system:cluster-admins")
	allowed, missing, forbidden := func(err error) bool { return err == nil }, apierrors.IsNotFound, apierrors.IsForbidden
	for _, test := range []struct {
		who            string
		client         kubernetes.Interface
		verb, resource string
		want           func(error) bool
	}{
		{who: "with a token", client: withToken, verb: "GET", resource: "useroauthaccesstokens", want: allowed},
		{who: "with a token", client: withToken, verb: "GET", resource: "useroauthaccesstokens" + name, want: missing},
		{who: "with a token", client: withToken, verb: "DELETE", resource: "useroauthaccesstokens" + name, want: missing},
		{who: "with a token", client: withToken, verb: "DELETE", resource: "oauthaccesstokens" + name, want: missing},
		{who: "with a token", client: withToken, verb: "GET", resource: "oauthaccesstokens" + name, want: forbidden},
		{who: "with a token", client: withToken, verb: "GET", resource: "oauthaccesstokens", want: forbidden},
		{who: "with a token", client: withToken, verb: "DELETE", resource: "oauthaccesstokens", want: forbidden},
		{who: "with a token", client: withToken, verb: "GET", resource: "oauthclients", want: forbidden},
		{who: "without", client: without, verb: "GET", resource: "useroauthaccesstokens", want: forbidden},
		{who: "without", client: without, verb: "DELETE", resource: "oauthaccesstokens" + name, want: missing},
		{who: "without", client: without, verb: "DELETE", resource: "oauthauthorizetokens" + name, want: missing},
		{who: "without", client: without, verb: "DELETE", resource: "oauthclients/demo", want: forbidden},
		{who: "without", client: without, verb: "GET", resource: "users/~", want: allowed},
		{who: "without", client: without, verb: "DELETE", resource: "users/~", want: forbidden},
		{who: "without", client: without, verb: "GET", resource: "users/bob", want: forbidden},
		{who: "without", client: without, verb: "GET", resource: "users", want: forbidden},
		{who: "without", client: without, verb: "GET", resource: "groups", want: forbidden},
		{who: "nobody", client: nobody, verb: "GET", resource: "users/~", want: forbidden},
		{who: "installer", client: installer, verb: "GET", resource: "users", want: allowed},
		{who: "installer", client: installer, verb: "GET", resource: "users/~", want: allowed},
		{who: "nobody", client: nobody, verb: "DELETE", resource: "oauthaccesstokens" + name, want: forbidden},
	} {
		if err := do(test.client, test.verb, test.resource); !test.want(err) {
			t.Errorf("%s, %s %s: %v", test.who, test.verb, test.resource, err)
		}
	}
}

func TestOpenShiftRolesComeWithItsAPI(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		flags := []string{"--controllers="}
		if on {
			flags = append(flags, "--openshift-api")
		}
		roles := must[*rbacv1.ClusterRoleList](t)(testserver.Start(t, flags...).Admin().RbacV1().ClusterRoles().List(t.Context(), metav1.ListOptions{}))
		found := false
		for i := range roles.Items {
			found = found || roles.Items[i].Name == "system:openshift:useroauthaccesstoken-manager"
		}
		if found != on {
			t.Errorf("with the API %t, the role is there: %t", on, found)
		}
	}
}
