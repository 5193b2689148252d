package openshift_test

import (
	"net/http"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	users      = "/apis/user.openshift.io/v1/users"
	groups     = "/apis/user.openshift.io/v1/groups"
	identities = "/apis/user.openshift.io/v1/identities"
)

const (
	mergePatch = "Content-Type: application/merge-patch+json"
	applyPatch = "Content-Type: application/apply-patch+yaml"
	wantsTable = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
)

// startWithAPI starts a server with OpenShift's API and without controllers.
func startWithAPI(t *testing.T) *testserver.Server {
	t.Helper()
	t.Parallel()
	return testserver.Start(t, "--controllers=", "--openshift-api")
}

func administrator(t *testing.T) testserver.Caller {
	t.Helper()
	server := startWithAPI(t)
	return server.Caller(server.AdminConfig())
}

// The API is not there unless it is asked for.
func TestNotServedByDefault(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	config := server.AdminConfig()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{users, "/apis/user.openshift.io", "/apis/oauth.openshift.io/v1/oauthclients"} {
		response, err := client.Get(config.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, response.StatusCode)
		}
	}
}

// What all of the kinds have in common is shown with users.
func TestUsersAreChangedWithCare(t *testing.T) {
	s := administrator(t)
	s.Run(
		testserver.Step{
			Request: "POST " + users, Body: `metadata: {name: ada, namespace: somewhere}`, Status: 201,
			Want: `{metadata: {name: ada, namespace: null}, groups: null}`,
		},
		testserver.Step{Request: "POST " + users, Body: `metadata: {name: ada}`, Status: 409, Want: `reason: AlreadyExists`},
		testserver.Step{
			Request: "PUT " + users + "/ada", Body: `{metadata: {name: ada}, fullName: Ada}`, Status: 422,
			Want: `message: 'users.user.openshift.io "ada" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update'`,
		},
		testserver.Step{
			Request: "PUT " + users + "/ada", Body: `{metadata: {name: ada, resourceVersion: "1"}, fullName: Ada}`, Status: 409, Want: `reason: Conflict`,
		},
		testserver.Step{Request: "PUT " + users + "/bob", Body: `metadata: {name: bob}`, Status: 404},
		testserver.Step{Request: "PUT " + users + "/bob", Body: `metadata: {name: bob, resourceVersion: "1"}`, Status: 404},
		testserver.Step{
			Request: "PATCH " + users + "/bob?fieldManager=a", Headers: []string{applyPatch}, Status: 201,
			Body: `{apiVersion: user.openshift.io/v1, kind: User, metadata: {name: bob}, fullName: Bob, groups: [x]}`,
			Want: `{fullName: Bob, groups: null}`,
		},
		testserver.Step{
			Request: "DELETE " + users + "/ada", Body: `preconditions: {uid: other}`, Status: 409,
			Want: `details: {group: user.openshift.io, kind: User, name: ada}`,
		},
		testserver.Step{Request: "DELETE " + users + "/ada?dryRun=All", Status: 200},
		testserver.Step{Request: "DELETE " + users + "/ada", Status: 200, Want: `{kind: Status, details: {kind: users, name: ada}}`},
		testserver.Step{Request: "DELETE " + users + "/ada", Status: 404},
		testserver.Step{
			Request: "GET " + users + "?fieldSelector=fullName%3DBob", Status: 400,
			Want: `message: '"fullName" is not a known field selector: only "metadata.name", "metadata.namespace"'`,
		},
		testserver.Step{Request: "GET " + users + "?fieldSelector=metadata.name%3Dbob", Status: 200, Want: `items: [{metadata: {name: bob}}]`},
		testserver.Step{Request: "GET " + users + "?fieldSelector=metadata.name%3Dada", Status: 200, Want: `items: []`},
	)
}

// A generated name is just what was asked for.
func TestGeneratedNamesAreVerbatim(t *testing.T) {
	s := administrator(t)
	s.Run(
		testserver.Step{Request: "POST " + groups, Body: `metadata: {generateName: crew}`, Status: 201, Want: `metadata: {name: crew, generateName: crew}`},
		testserver.Step{
			Request: "POST " + groups, Body: `metadata: {generateName: crew}`, Status: 409,
			Want: `{details: {retryAfterSeconds: 1}, message: 'groups.user.openshift.io "crew" already exists, the server was not able to generate a unique name for the object'}`,
		},
	)
}

func TestCaller(t *testing.T) {
	server := startWithAPI(t)
	s := server.Caller(server.AdminConfig())
	as := func(user, uid string, groups ...string) testserver.Caller {
		config := server.AdminConfig()
		config.Impersonate = rest.ImpersonationConfig{UserName: user, UID: uid, Groups: append(groups, "system:masters")}
		return server.Caller(config)
	}
	s.Run(testserver.Step{Request: "POST " + users, Body: `{metadata: {name: ada}, fullName: Ada, groups: [x]}`, Status: 201})
	me := "GET " + users + "/~"
	as("ada", "", "b", "a", "b").Run(
		testserver.Step{
			Request: me, Status: 200,
			Want: `{kind: User, metadata: {name: ada}, fullName: Ada, groups: [a, b, system:authenticated, system:masters]}`,
		},
		testserver.Step{Request: me, Headers: []string{wantsTable}, Status: 200, Want: `kind: Table`},
		// The name is only for reading.
		testserver.Step{Request: "DELETE " + users + "/~", Status: 404},
		testserver.Step{Request: "PUT " + users + "/~", Body: `metadata: {name: "~", resourceVersion: "1"}`, Status: 404},
		testserver.Step{Request: "PATCH " + users + "/~", Headers: []string{mergePatch}, Body: `fullName: Me`, Status: 404},
		testserver.Step{Request: "GET " + groups + "/~", Status: 404},
	)
	as("ada", "of the request").Run(testserver.Step{Request: me, Status: 200, Want: `{metadata: {uid: of the request}, fullName: Ada}`})
	as("bob", "1").Run(testserver.Step{Request: me, Status: 200, Want: `{metadata: {name: bob, uid: "1", resourceVersion: null}, fullName: null}`})
	as("kube:admin", "").Run(testserver.Step{Request: me, Status: 200, Want: `metadata: {name: "kube:admin", uid: null}`})
}

func TestIdentities(t *testing.T) {
	s := administrator(t)
	s.Run(
		testserver.Step{
			Request: "POST " + identities, Body: `{providerName: p, providerUserName: ada, metadata: {name: x}, user: {name: ada, uid: "1"}}`, Status: 201,
			Want: `metadata: {name: "p:ada"}`,
		},
		testserver.Step{Request: "POST " + identities, Body: `{providerName: p, providerUserName: bob}`, Status: 201},
		testserver.Step{
			Request: "PATCH " + identities + "/p:ada", Headers: []string{mergePatch}, Body: `providerName: q`, Status: 422,
			Want: `details: {causes: [
				{field: metadata.name, message: 'Invalid value: "p:ada": must be q:ada'},
				{field: providerName, message: 'Invalid value: "q": may not change providerName'}]}`,
		},
		testserver.Step{
			Request: "PATCH " + identities + "/p:ada", Headers: []string{mergePatch}, Body: `providerUserName: eva`, Status: 422,
			Want: `details: {causes: [{field: metadata.name}, {field: providerUserName, message: 'Invalid value: "eva": may not change providerUserName'}]}`,
		},
	)
	for selector, want := range map[string]string{
		"providerName%3Dp":              `items: [{}, {}]`,
		"providerName%3Dq":              `items: []`,
		"providerUserName%3Dbob":        `items: [{providerUserName: bob}]`,
		"user.name%3Dada,user.uid%3D1":  `items: [{providerUserName: ada}]`,
		"user.name%3Dada,user.uid!%3D1": `items: []`,
	} {
		s.Run(testserver.Step{Request: "GET " + identities + "?fieldSelector=" + selector, Status: 200, Want: want})
	}
	s.Run(testserver.Step{
		Request: "GET " + identities + "?fieldSelector=extra%3Dx", Status: 400, Want: `reason: BadRequest`,
	})
}
