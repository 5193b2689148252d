package apiserver_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/testserver"
)

// fact is what has been decided about a resource. A new resource needs a row in facts, and then whatever TestResources
// finds missing.
type fact struct {
	// secret says that bodies hold tokens or other secrets, which no audit record may have.
	secret bool
	// escalates are the verbs that a scope of a role doesn't cover, since they lead to further rights.
	escalates verbs
	// admin says that the default role of that name, bound in a namespace, gives the resource.
	admin bool
	// sample is the body of an object in a namespace; it is stored, and must go with the namespace.
	sample string
}

type verbs int

const (
	noVerb verbs = iota
	writing
	everyVerb
)

// facts are about all resources and subresources that are served, by group and name.
var facts = map[string]fact{
	"/configmaps":            {admin: true, secret: true, sample: `{metadata: {name: x}}`},
	"/events":                {admin: true, sample: `{metadata: {name: x}, involvedObject: {namespace: leaving}}`},
	"/namespaces":            {admin: true},
	"/namespaces/finalize":   {},
	"/namespaces/status":     {admin: true},
	"/nodes":                 {},
	"/nodes/status":          {},
	"/pods":                  {admin: true, sample: `{metadata: {name: x, finalizers: []}, spec: {containers: [{name: c, image: i}], serviceAccountName: x}}`},
	"/pods/binding":          {},
	"/pods/status":           {admin: true},
	"/secrets":               {admin: true, secret: true, escalates: everyVerb, sample: `{metadata: {name: x}}`},
	"/serviceaccounts":       {admin: true, sample: `{metadata: {name: x}}`},
	"/serviceaccounts/token": {admin: true, secret: true, escalates: everyVerb},

	"authentication.k8s.io/selfsubjectreviews": {},
	"authentication.k8s.io/tokenreviews":       {secret: true},

	"authorization.k8s.io/localsubjectaccessreviews": {admin: true},
	"authorization.k8s.io/selfsubjectaccessreviews":  {},
	"authorization.k8s.io/selfsubjectrulesreviews":   {},
	"authorization.k8s.io/subjectaccessreviews":      {},

	"certificates.k8s.io/certificatesigningrequests":          {},
	"certificates.k8s.io/certificatesigningrequests/approval": {},
	"certificates.k8s.io/certificatesigningrequests/status":   {},

	"coordination.k8s.io/leases": {admin: true, sample: `{metadata: {name: x}}`},

	"events.k8s.io/events": {sample: `{metadata: {name: z}, eventTime: "2024-03-01T10:00:00.123456Z", reportingController: c, reportingInstance: i, action: a, reason: r, type: Normal, regarding: {namespace: leaving}}`},

	"rbac.authorization.k8s.io/clusterrolebindings": {escalates: writing},
	"rbac.authorization.k8s.io/clusterroles":        {escalates: writing},
	"rbac.authorization.k8s.io/rolebindings":        {admin: true, escalates: writing, sample: `{metadata: {name: x}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: x}}`},
	"rbac.authorization.k8s.io/roles":               {admin: true, escalates: writing, sample: `{metadata: {name: x}}`},

	"mintmark.io/signingkeys":       {secret: true, escalates: writing},
	"mintmark.io/tokenexplanations": {secret: true, escalates: writing},
	"mintmark.io/tokenreviewevents": {secret: true, escalates: writing},
	"mintmark.io/tokenreviewlists":  {secret: true},
	"mintmark.io/tokenrevocations":  {secret: true, escalates: writing},
	// A key set may hold private keys by mistake.
	"mintmark.io/trustedissuers":        {secret: true, escalates: writing},
	"mintmark.io/trustedissuers/status": {secret: true, escalates: writing},

	"oauth.openshift.io/oauthaccesstokens":         {secret: true, escalates: everyVerb},
	"oauth.openshift.io/oauthauthorizetokens":      {secret: true, escalates: everyVerb},
	"oauth.openshift.io/oauthclientauthorizations": {escalates: everyVerb},
	"oauth.openshift.io/oauthclients":              {secret: true, escalates: everyVerb},
	"oauth.openshift.io/tokenreviews":              {secret: true, escalates: everyVerb},
	"oauth.openshift.io/useroauthaccesstokens":     {secret: true, escalates: everyVerb},

	"user.openshift.io/groups":               {escalates: writing},
	"user.openshift.io/identities":           {escalates: writing},
	"user.openshift.io/useridentitymappings": {escalates: writing},
	"user.openshift.io/users":                {escalates: writing},
}

// TestResources walks the discovery of a server that serves all there is, and looks for what is missing about a resource
// anywhere.
func TestResources(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--openshift-api")
	admin, caller := server.Admin(), server.Caller(server.AdminConfig())
	bindForQuestions(t, admin)
	_, lists, err := admin.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	caller.Run(testserver.Step{Request: "POST /api/v1/namespaces", Body: "{metadata: {name: leaving}}", Status: 201})
	served := map[string]bool{}
	var inNamespace []string
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(scheme.Served, gv) {
			t.Errorf("%s is not among the group versions that the scheme says are served", gv)
		}
		for _, resource := range list.APIResources {
			key := gv.Group + "/" + resource.Name
			served[key] = true
			decided, ok := facts[key]
			if !ok {
				t.Errorf("%s is served, but nothing is decided about it: it has no row in facts", key)
				continue
			}
			if audited := apiserver.WithoutSecrets.Has(schema.GroupResource{Group: gv.Group, Resource: resource.Name}); audited == decided.secret {
				t.Errorf("%s: its bodies may be in the audit log: %t", key, audited)
			}
			checkPermissions(t, admin, gv.Group, resource, decided)
			path := "/api/" + gv.Version
			if gv.Group != "" {
				path = "/apis/" + gv.String()
			}
			if slices.Contains(resource.Verbs, "list") {
				checkLists(caller, path+"/"+resource.Name, resource.Namespaced)
			}
			if resource.Namespaced && slices.Contains(resource.Verbs, "delete") {
				if decided.sample == "" {
					t.Errorf("%s is in namespaces: its row in facts needs a sample", key)
					continue
				}
				caller.Run(testserver.Step{Request: "POST " + path + "/namespaces/leaving/" + resource.Name, Body: decided.sample, Status: 201})
				inNamespace = append(inNamespace, path+"/namespaces/leaving/"+resource.Name)
			}
		}
	}
	for key := range facts {
		if !served[key] {
			t.Errorf("%s has a row in facts and is not served", key)
		}
	}
	for resource := range apiserver.WithoutSecrets {
		if !served[resource.Group+"/"+resource.Resource] {
			t.Errorf("%s may be audited and is not served", resource)
		}
	}
	checkNamespaceIsEmptied(t, admin, caller, inNamespace)
}

// bindForQuestions makes one user administrator of everything, and another of a namespace.
func bindForQuestions(t *testing.T, admin kubernetes.Interface) {
	t.Helper()
	to := func(user string) []rbacv1.Subject {
		return []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
	}
	role := func(name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "all"}, RoleRef: role("cluster-admin"), Subjects: to("all"),
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "here"}, RoleRef: role("admin"), Subjects: to("here"),
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); !allowed(t, admin, "here", nil, "get", "", "pods", "default"); {
		if time.Since(began) > time.Minute {
			t.Fatal("the role admin is not aggregated")
		}
	}
}

// allowed asks whether a user may do something.
func allowed(t *testing.T, admin kubernetes.Interface, user string, extra map[string]authorizationv1.ExtraValue, verb, group, resource, namespace string) bool {
	t.Helper()
	name, subresource, _ := strings.Cut(resource, "/")
	review, err := admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Extra: extra, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: group, Resource: name, Subresource: subresource, Namespace: namespace,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// checkPermissions checks what the scope of a role leaves out, and what the role admin gives.
func checkPermissions(t *testing.T, admin kubernetes.Interface, group string, resource metav1.APIResource, decided fact) {
	t.Helper()
	scope := map[string]authorizationv1.ExtraValue{oauth.ScopesKey: {"role:cluster-admin:*"}}
	for verb, escalates := range map[string]bool{"get": decided.escalates == everyVerb, "update": decided.escalates != noVerb} {
		if allowed(t, admin, "all", scope, verb, group, resource.Name, "") == escalates {
			t.Errorf("%s %s: the scope of a role covers it: %t", verb, resource.Name, escalates)
		}
	}
	if got := allowed(t, admin, "here", nil, firstVerb(resource), group, resource.Name, "default"); got != decided.admin {
		t.Errorf("%s %s of %q: the role admin gives it: %t", firstVerb(resource), resource.Name, group, got)
	}
}

// firstVerb is the verb by which a resource is read, or made if it can't be read.
func firstVerb(resource metav1.APIResource) string {
	if slices.Contains(resource.Verbs, "get") {
		return "get"
	}
	return resource.Verbs[0]
}

// checkLists checks that objects can be selected by their names, and be shown in a table.
func checkLists(caller testserver.Caller, path string, namespaced bool) {
	caller.Run(
		testserver.Step{Request: "GET " + path + "?fieldSelector=metadata.name%3Dx", Status: 200},
		testserver.Step{
			Request: "GET " + path, Headers: []string{"Accept: application/json;as=Table;v=v1;g=meta.k8s.io"},
			Status: 200, Want: "kind: Table",
		},
	)
	if namespaced {
		caller.Run(testserver.Step{Request: "GET " + path + "?fieldSelector=metadata.namespace%3Dx", Status: 200})
	}
}

// checkNamespaceIsEmptied deletes a namespace and checks that nothing is left in it.
func checkNamespaceIsEmptied(t *testing.T, admin kubernetes.Interface, caller testserver.Caller, paths []string) {
	t.Helper()
	if err := admin.CoreV1().Namespaces().Delete(t.Context(), "leaving", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; {
		_, err := admin.CoreV1().Namespaces().Get(t.Context(), "leaving", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the namespace is still there: %v", err)
		}
	}
	for _, path := range paths {
		caller.Run(testserver.Step{Request: "GET " + path, Status: 200, Want: "items: []"})
	}
}
