package authz

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/internal/view"
)

// set puts an object into the index as its view does.
func (x *Index) set(obj runtime.Object) {
	switch o := obj.(type) {
	case *rbacv1.Role:
		x.roleChanged(view.Key{Namespace: o.Namespace, Name: o.Name}, o)
	case *rbacv1.ClusterRole:
		x.roleChanged(view.Key{Name: o.Name}, o)
	case *rbacv1.RoleBinding:
		x.bindingChanged(view.Key{Namespace: o.Namespace, Name: o.Name}, o)
	case *rbacv1.ClusterRoleBinding:
		x.bindingChanged(view.Key{Name: o.Name}, o)
	}
}

func newRole(namespace, name string, rules ...rbacv1.PolicyRule) runtime.Object {
	if namespace == "" {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
	}
	return &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules}
}

func newBinding(namespace, name, kind, role string, subjects ...rbacv1.Subject) runtime.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}
	if namespace == "" {
		return &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
	}
	return &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
}

func account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// token is the question whether somebody may issue tokens for an account.
func token(u user.Info, namespace, name string) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{
		User: u, Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: namespace, Name: name, ResourceRequest: true,
	}
}

func TestReasons(t *testing.T) {
	x := NewIndex()
	issue := may("create", "", "serviceaccounts/token")
	x.set(newRole("", "issue", issue))
	x.set(newRole("ns", "issue", issue))
	x.set(newRole("ns", "one", mayNamed("create", "", "serviceaccounts/token", "app")))
	x.set(newBinding("", "everywhere", "ClusterRole", "issue", group("ops")))
	x.set(newBinding("ns", "b", "Role", "issue", person("alice"), group("dev")))
	x.set(newBinding("ns", "a", "Role", "issue", group("dev"), person("alice")))
	x.set(newBinding("ns", "own", "Role", "issue", account("", "app")))
	x.set(newBinding("ns", "one", "Role", "one", person("bob")))
	x.set(newBinding("ns", "lost", "Role", "gone", person("carol"), group("lost")))
	x.set(newBinding("", "lost", "ClusterRole", "vanished", person("carol")))
	for _, test := range []struct {
		user   user.DefaultInfo
		ns     string
		reason string
		want   authorizer.Decision
	}{
		{user: user.DefaultInfo{Name: "alice"}, ns: "ns", reason: `RBAC: allowed by RoleBinding "a/ns" of Role "issue" to User "alice"`, want: authorizer.DecisionAllow},
		{
			user:   user.DefaultInfo{Name: "alice", Groups: []string{"dev"}},
			ns:     "ns",
			reason: `RBAC: allowed by RoleBinding "a/ns" of Role "issue" to Group "dev"`,
			want:   authorizer.DecisionAllow,
		},
		{
			user:   user.DefaultInfo{Name: "alice", Groups: []string{"ops"}},
			ns:     "ns",
			reason: `RBAC: allowed by ClusterRoleBinding "everywhere" of ClusterRole "issue" to Group "ops"`,
			want:   authorizer.DecisionAllow,
		},
		{
			user:   user.DefaultInfo{Name: "system:serviceaccount:ns:app"},
			ns:     "ns",
			reason: `RBAC: allowed by RoleBinding "own/ns" of Role "issue" to ServiceAccount "app/ns"`,
			want:   authorizer.DecisionAllow,
		},
		{user: user.DefaultInfo{Name: "bob"}, ns: "ns", reason: `RBAC: allowed by RoleBinding "one/ns" of Role "one" to User "bob"`, want: authorizer.DecisionAllow},
		{user: user.DefaultInfo{Name: "alice"}, ns: "other", want: authorizer.DecisionNoOpinion},
		{user: user.DefaultInfo{Name: "alice"}, want: authorizer.DecisionNoOpinion},
		{user: user.DefaultInfo{Name: "dev"}, ns: "ns", want: authorizer.DecisionNoOpinion},
		{
			user:   user.DefaultInfo{Name: "carol", Groups: []string{"lost"}},
			ns:     "ns",
			reason: `RBAC: [clusterrole.rbac.authorization.k8s.io "vanished" not found, role.rbac.authorization.k8s.io "gone" not found]`, want: authorizer.DecisionNoOpinion,
		},
	} {
		decision, reason, err := x.authorize(t.Context(), token(&test.user, test.ns, "app"))
		if decision != test.want || reason != test.reason || err != nil {
			t.Errorf("%s in %q: %v, %q, %v; want %v, %q", test.user.Name, test.ns, decision, reason, err, test.want, test.reason)
		}
	}
	if decision, _, _ := x.authorize(t.Context(), token(&user.DefaultInfo{Name: "bob"}, "ns", "other")); decision != authorizer.DecisionNoOpinion {
		t.Error("a role for one account gives another")
	}
}

// What is unbound leaves nothing behind, whatever the order.
func TestIndexForgets(t *testing.T) {
	x := NewIndex()
	x.set(newRole("ns", "r", may("create", "", "serviceaccounts/token")))
	alice := &user.DefaultInfo{Name: "alice"}
	allowed := func() bool {
		decision, _, _ := x.authorize(t.Context(), token(alice, "ns", "app"))
		return decision == authorizer.DecisionAllow
	}
	for _, name := range []string{"b", "c", "a"} {
		x.set(newBinding("ns", name, "Role", "r", person("alice"), person("alice"), group("g")))
	}
	x.set(newBinding("ns", "b", "Role", "r", person("bob")))
	x.bindingChanged(view.Key{Namespace: "ns", Name: "c"}, nil)
	if !allowed() {
		t.Error("the last binding doesn't count")
	}
	x.bindingChanged(view.Key{Namespace: "ns", Name: "a"}, nil)
	if allowed() {
		t.Error("a binding that is gone counts")
	}
	x.bindingChanged(view.Key{Namespace: "ns", Name: "b"}, nil)
	if len(x.byNamespace) != 0 || len(x.bindings) != 0 {
		t.Errorf("left: %v, %v", x.byNamespace, x.bindings)
	}
}

// BenchmarkDecision decides on a token request of a delegate among many others, for one account of its namespace, and on
// the same of somebody who has no right to it.
func BenchmarkDecision(b *testing.B) {
	for _, bindings := range []int{10, 1_000, 10_000} {
		x := crowded(bindings)
		for name, u := range map[string]user.Info{
			"allowed": &user.DefaultInfo{Name: "delegate-3", Groups: []string{"dev", "system:authenticated"}},
			"refused": &user.DefaultInfo{Name: "nobody", Groups: []string{"dev", "system:authenticated"}},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, bindings), func(b *testing.B) {
				z := newRBAC(x)
				asked := token(u, "ns-3", "app")
				want := authorizer.DecisionNoOpinion
				if name == "allowed" {
					want = authorizer.DecisionAllow
				}
				b.ReportAllocs()
				for b.Loop() {
					if decision, _, _ := z.Authorize(b.Context(), asked); decision != want {
						b.Fatal(decision)
					}
				}
			})
		}
	}
}

// crowded is an index with the default roles and so many bindings of delegates: half of them in ten namespaces, and half
// everywhere.
func crowded(bindings int) *Index {
	x := NewIndex()
	for _, role := range defaultClusterRoles() {
		x.set(role)
	}
	for _, binding := range defaultClusterRoleBindings() {
		x.set(binding)
	}
	x.set(newRole("", "review", may("create", "authentication.k8s.io", "tokenreviews")))
	for i := range bindings {
		delegate := person(fmt.Sprintf("delegate-%d", i))
		namespace := fmt.Sprintf("ns-%d", i%10)
		if i%2 == 0 {
			x.set(newBinding("", fmt.Sprintf("b-%d", i), "ClusterRole", "review", delegate))
			continue
		}
		x.set(newRole(namespace, fmt.Sprintf("r-%d", i), mayNamed("create", "", "serviceaccounts/token", "app")))
		x.set(newBinding(namespace, fmt.Sprintf("b-%d", i), "Role", fmt.Sprintf("r-%d", i), delegate))
	}
	return x
}

// The default cluster roles: of kube-apiserver's those that concern what Mintmark is there for.
func TestDefaultRoles(t *testing.T) {
	want := []string{
		"admin", "cluster-admin", "edit", "mintmark:reviewer",
		"system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view", "system:auth-delegator", "system:basic-user",
		"system:certificates.k8s.io:certificatesigningrequests:nodeclient", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
		"system:certificates.k8s.io:kube-apiserver-client-approver", "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
		"system:certificates.k8s.io:kubelet-serving-approver", "system:certificates.k8s.io:legacy-unknown-approver",
		"system:controller:certificate-controller",
		"system:controller:clusterrole-aggregation-controller", "system:controller:legacy-service-account-token-cleaner",
		"system:controller:root-ca-cert-publisher", "system:controller:service-account-controller", "system:discovery",
		"system:kube-controller-manager", "system:kube-scheduler", "system:monitoring", "system:node", "system:node-bootstrapper", "system:public-info-viewer",
		"system:service-account-issuer-discovery", "view",
	}
	var got []string
	for _, role := range defaultClusterRoles() {
		got = append(got, role.Name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
