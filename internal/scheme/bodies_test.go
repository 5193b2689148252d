package scheme_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mintmark/mintmark/internal/testserver"
)

// bodies are the kinds that requests are tried with, and the servers that know them: kube-apiserver, OpenShift's, or both.
// OpenShift's registers the core kinds along with its own.
var bodies = []struct {
	version, kind         string
	kubernetes, openShift bool
}{
	{"v1", "Secret", true, true},
	{"v1", "Pod", true, true},
	{"v1", "Event", true, true},
	{"events.k8s.io/v1", "Event", true, false},
	{"events.k8s.io/v1beta1", "Event", true, false},
	{"coordination.k8s.io/v1", "Lease", true, false},
	{"coordination.k8s.io/v1beta1", "Lease", true, false},
	{"coordination.k8s.io/v1beta1", "LeaseCandidate", true, false},
	{"coordination.k8s.io/v1alpha2", "LeaseCandidate", true, false},
	{"authentication.k8s.io/v1", "TokenReview", true, true},
	{"authentication.k8s.io/v1", "TokenRequest", true, true},
	{"authentication.k8s.io/v1beta1", "TokenReview", true, false},
	{"authentication.k8s.io/v1beta1", "TokenRequest", false, false},
	{"authentication.k8s.io/v1beta1", "SelfSubjectReview", true, false},
	{"authentication.k8s.io/v1alpha1", "SelfSubjectReview", true, false},
	{"authorization.k8s.io/v1", "SubjectAccessReview", true, false},
	{"authorization.k8s.io/v1beta1", "SubjectAccessReview", true, false},
	{"authorization.k8s.io/v1beta1", "LocalSubjectAccessReview", true, false},
	{"authorization.k8s.io/v1beta1", "SelfSubjectAccessReview", true, false},
	{"authorization.k8s.io/v1beta1", "SelfSubjectRulesReview", true, false},
	{"authorization.k8s.io/v1alpha1", "SubjectAccessReview", false, false},
	{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", true, false},
	{"rbac.authorization.k8s.io/v1beta1", "Role", true, false},
	{"rbac.authorization.k8s.io/v1beta1", "RoleBinding", true, false},
	{"rbac.authorization.k8s.io/v1beta1", "ClusterRole", true, false},
	{"rbac.authorization.k8s.io/v1beta1", "ClusterRoleBinding", true, false},
	{"rbac.authorization.k8s.io/v1alpha1", "Role", true, false},
	{"rbac.authorization.k8s.io/v1alpha1", "RoleBinding", true, false},
	{"rbac.authorization.k8s.io/v1alpha1", "ClusterRole", true, false},
	{"rbac.authorization.k8s.io/v1alpha1", "ClusterRoleBinding", true, false},
	{"oauth.openshift.io/v1", "OAuthClient", false, true},
	{"oauth.openshift.io/v1", "TokenReview", false, false},
	{"user.openshift.io/v1", "User", false, true},
	{"example.com/v1", "TokenReview", false, false},
}

// endpoint takes objects of one kind.
type endpoint struct {
	path      string
	openShift bool
	accepts   schema.GroupVersionKind
}

// endpoints walks discovery for all that can be created.
func endpoints(t *testing.T, server *testserver.Server) []endpoint {
	t.Helper()
	_, lists, err := server.Admin().Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var found []endpoint
	for _, list := range lists {
		root := "/apis/" + list.GroupVersion
		if list.GroupVersion == "v1" {
			root = "/api/v1"
		}
		for i := range list.APIResources {
			if resource := &list.APIResources[i]; slices.Contains(resource.Verbs, "create") {
				found = append(found, endpointOf(root, list.GroupVersion, resource))
			}
		}
	}
	return found
}

func endpointOf(root, served string, resource *metav1.APIResource) endpoint {
	gv, _ := schema.ParseGroupVersion(served)
	accepts := gv.WithKind(resource.Kind)
	if resource.Version != "" {
		accepts = schema.GroupVersionKind{Group: resource.Group, Version: resource.Version, Kind: resource.Kind}
	}
	if resource.Namespaced {
		root += "/namespaces/default"
	}
	name, subresource, _ := strings.Cut(resource.Name, "/")
	if subresource != "" {
		subresource = "/some/" + subresource
	}
	return endpoint{path.Join(root, name) + subresource, strings.HasSuffix(gv.Group, ".openshift.io"), accepts}
}

// refusal is the answer to a body of another kind than an endpoint takes.
func (e endpoint) refusal(body schema.GroupVersionKind, known bool) string {
	group, _, _ := strings.Cut(e.accepts.Group, ".")
	switch {
	case e.accepts.Group == "", e.accepts.Group == "events.k8s.io": // events of both groups are the core API's inside
		group = "core"
	case e.openShift && group == "authentication": // OpenShift's server reads reviews into the published type
		group = e.accepts.Version
	}
	cannot := fmt.Sprintf("%s in version %q cannot be handled as a %s: ", body.Kind, body.Version, e.accepts.Kind)
	switch {
	case !known:
		return cannot + fmt.Sprintf("no kind %q is registered for version %q in scheme ", body.Kind, body.GroupVersion())
	case body.GroupKind() == e.accepts.GroupKind(), body.Kind == "Event" && e.accepts.Kind == "Event":
		return fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)", body.GroupVersion(), e.accepts.GroupVersion())
	}
	return cannot + fmt.Sprintf("converting (%s.%s) to (%s.%s): unknown conversion", body.Version, body.Kind, group, e.accepts.Kind)
}

// Each endpoint refuses each kind but its own with the text of the server that it stands for.
func TestBodiesOfOtherKinds(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=", "--openshift-api=true")
	admin := server.Caller(server.AdminConfig())
	for _, endpoint := range endpoints(t, server) {
		for _, body := range bodies {
			kind := schema.FromAPIVersionAndKind(body.version, body.kind)
			if kind == endpoint.accepts {
				continue
			}
			known := body.kubernetes
			if endpoint.openShift {
				known = body.openShift
			}
			text := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"some"}}`, body.version, body.kind)
			answer, status := admin.Do("POST "+endpoint.path, text)
			message, _ := answer.(map[string]any)["message"].(string)
			if want := endpoint.refusal(kind, known); status != 400 || !strings.HasPrefix(message, want) {
				t.Errorf("%s of %s:\n%d %s\nwant\n%s", endpoint.path, kind, status, message, want)
			}
		}
	}
}

// A patch may name an older version of the object: the object is read as that version and stored as the current one.
func TestPatchesInOlderVersions(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin := server.Caller(server.AdminConfig())
	const bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
	binding := `
metadata: {name: some}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}
- {kind: ServiceAccount, name: app, namespace: default}
`
	admin.Run(testserver.Step{Request: "POST " + bindings, Body: binding, Status: 201})
	for _, version := range []string{"v1beta1", "v1alpha1"} {
		admin.Run(testserver.Step{
			Request: "PATCH " + bindings + "/some", Headers: []string{"Content-Type: application/merge-patch+json"},
			Body:   `{apiVersion: rbac.authorization.k8s.io/` + version + `, metadata: {labels: {from: ` + version + `}}}`,
			Status: 200, Want: binding + "apiVersion: rbac.authorization.k8s.io/v1",
		})
	}
}
