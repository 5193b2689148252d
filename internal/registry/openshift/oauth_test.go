package openshift_test

import (
	"testing"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	oauthAPI = "/apis/oauth.openshift.io/v1/"

	merge = "Content-Type: application/merge-patch+json"
	apply = "Content-Type: application/apply-patch+yaml"
	table = "Accept: application/json;as=Table;g=meta.k8s.io;v=v1"

	// The names of objects, as they are made from tokens.
	first  = "sha256~47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
	second = "sha256~ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
	third  = "sha256~AFhhyqsKYX1bVcYEqg48793GbeevxzId6nng-h7SnN8"
)

// startOAuth starts a server with a client named demo, and returns its administrator.
func startOAuth(t *testing.T) (*testserver.Server, testserver.Caller) {
	t.Helper()
	t.Parallel()
	server := testserver.Start(t, "--controllers=", "--openshift-api")
	admin := server.Caller(server.AdminConfig())
	admin.Run(testserver.Step{
		Request: "POST " + oauthAPI + "oauthclients", Status: 201,
		Body: `{metadata: {name: demo}, grantMethod: auto, redirectURIs: ["https://demo.example/cb"]}`,
	})
	return server, admin
}

// user returns somebody who has come with an access token.
func user(server *testserver.Server, name string) testserver.Caller {
	config := server.AdminConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: []string{"system:authenticated", "system:authenticated:oauth"}}
	return server.Caller(config)
}

// token is an access token of the client demo; more overrides and adds members.
func token(name, owner, more string) string {
	if more != "" {
		more = ", " + more
	}
	return `{metadata: {name: "` + name + `"}, clientName: demo, scopes: ["user:full"], redirectURI: "https://demo.example/cb", userName: ` +
		owner + `, userUID: u-` + owner + more + `}`
}

func createToken(name, owner, more string) testserver.Step {
	return testserver.Step{Request: "POST " + oauthAPI + "oauthaccesstokens", Body: token(name, owner, more), Status: 201}
}

// invalid is the answer to an object of a kind that has something wrong with it.
func invalid(kind, name, problem string) string {
	return `{reason: Invalid, message: '` + kind + `.oauth.openshift.io "` + name + `" is invalid: ` + problem + `'}`
}

func TestClientsAreValidated(t *testing.T) {
	_, admin := startOAuth(t)
	for _, test := range []struct{ members, want string }{
		{"accessTokenMaxAgeSeconds: -1", "accessTokenMaxAgeSeconds: Invalid value: -1: value cannot be negative"},
		{`additionalSecrets: [a, ""]`, `additionalSecrets[1]: Invalid value: "": may not be empty`},
		{`redirectURIs: [https://a/../b, "%zz"]`, `[redirectURIs[0]: Invalid value: "https://a/../b": may not contain a path segment of .., ` +
			`redirectURIs[1]: Invalid value: "%zz": parse "%zz": invalid URL escape "%zz"]`},
		{`scopeRestrictions: [{literals: [""]}]`, `scopeRestrictions[0].literals[0]: Invalid value: "": may not be empty`},
		{
			`scopeRestrictions: [{clusterRole: {roleNames: [], namespaces: [], allowEscalation: true}}]`,
			`[scopeRestrictions[0].clusterRole.roleNames: Required value: won''t match anything, ` +
				`scopeRestrictions[0].clusterRole.namespaces: Required value: won''t match anything]`,
		},
	} {
		admin.Run(testserver.Step{
			Request: "POST " + oauthAPI + "oauthclients", Status: 422,
			Body: `{metadata: {name: a}, grantMethod: auto, ` + test.members + `}`,
			Want: invalid("OAuthClient", "a", test.want),
		})
	}
	for _, restriction := range []string{`{}`, `{literals: ["user:info"], clusterRole: {roleNames: [a], namespaces: [b], allowEscalation: false}}`} {
		admin.Run(testserver.Step{
			Request: "POST " + oauthAPI + "oauthclients", Status: 422,
			Body: `{metadata: {name: a}, grantMethod: auto, scopeRestrictions: [` + restriction + `]}`,
			Want: `details: {causes: [{reason: FieldValueInvalid, field: "scopeRestrictions[0]"}]}`,
		})
	}
	admin.Run(testserver.Step{
		Request: "PATCH " + oauthAPI + "oauthclients/demo", Headers: []string{merge}, Status: 422,
		Body: `grantMethod: deny`, Want: `details: {causes: [{field: grantMethod, reason: FieldValueNotSupported}]}`,
	})
}

// What a token says cannot be changed, and whoever tries is not told again what it says.
func TestRefusedTokensAreNotRepeated(t *testing.T) {
	_, admin := startOAuth(t)
	admin.Run(
		createToken(first, "ada", "authorizeToken: a-code"),
		testserver.Step{
			Request: "PATCH " + oauthAPI + "oauthaccesstokens/" + first, Headers: []string{merge}, Status: 422,
			Body: `scopes: ["user:info"]`, Want: invalid("OAuthAccessToken", first, "[]: Invalid value: field is immutable"),
		},
		testserver.Step{
			Request: "PATCH " + oauthAPI + "oauthaccesstokens/" + first, Headers: []string{merge}, Status: 200,
			Body: `metadata: {annotations: {a: b}}`, Want: `metadata: {annotations: {a: b}}`,
		},
		testserver.Step{
			Request: "POST " + oauthAPI + "oauthauthorizetokens", Status: 201, Body: token(first, "ada", "expiresIn: 300, codeChallenge: "+first),
			Want: `codeChallengeMethod: plain`,
		},
		testserver.Step{
			Request: "PATCH " + oauthAPI + "oauthauthorizetokens/" + first, Headers: []string{merge}, Status: 422,
			Body: `state: other`, Want: invalid("OAuthAuthorizeToken", first, "[]: Invalid value: field is immutable"),
		},
	)
}

// A life that etcd could not keep is refused before it comes to that.
func TestLongestLife(t *testing.T) {
	_, admin := startOAuth(t)
	for _, seconds := range []string{"8999999941", "9223372036854775807"} {
		for _, kind := range []struct{ resource, kind string }{
			{"oauthaccesstokens", "OAuthAccessToken"}, {"oauthauthorizetokens", "OAuthAuthorizeToken"},
		} {
			admin.Run(testserver.Step{
				Request: "POST " + oauthAPI + kind.resource, Status: 422, Body: token(first, "ada", "expiresIn: "+seconds),
				Want: invalid(kind.kind, first, "expiresIn: Invalid value: "+seconds+": cannot be more than 8999999940"),
			})
		}
	}
	admin.Run(createToken(first, "ada", "expiresIn: 8999999940"))
}

func TestTokensAreValidated(t *testing.T) {
	_, admin := startOAuth(t)
	for _, test := range []struct{ members, want string }{
		{"expiresIn: -1, inactivityTimeoutSeconds: -1", "[inactivityTimeoutSeconds: Invalid value: -1: cannot be a negative value, " +
			"expiresIn: Invalid value: -1: cannot be a negative value]"},
		{`userName: "a:b"`, `userName: Invalid value: "a:b": usernames that contain ":" must begin with "b64:"`},
		{`userName: "~"`, `userName: Invalid value: "~": may not equal "~"`},
		{`userName: "a/b"`, `userName: Invalid value: "a/b": may not contain ''/''`},
		{`clientName: "a/b"`, `[clientName: Invalid value: "a/b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, ''-'' or ''.'', ` +
			`and must start and end with an alphanumeric character (e.g. ''example.com'', regex used for validation is ` +
			`''[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*''), clientName: Internal error: invalid resource name "a/b": [may not contain ''/'']]`},
		{`redirectURI: "a#b"`, `redirectURI: Invalid value: "a#b": may not contain a fragment`},
	} {
		admin.Run(testserver.Step{
			Request: "POST " + oauthAPI + "oauthaccesstokens", Status: 422, Body: token(first, "ada", test.members),
			Want: invalid("OAuthAccessToken", first, test.want),
		})
	}
	admin.Run(
		createToken(first, `"kube:admin"`, "userUID: u"),
		testserver.Step{
			Request: "POST " + oauthAPI + "oauthaccesstokens", Status: 422, Body: token("a/"+first, "ada", ""),
			Want: invalid("OAuthAccessToken", "a/"+first, `metadata.name: Invalid value: "a/`+first+`": may not contain ''/''`),
		},
	)
}

// What the resources have in common: how names are made, which updates are taken, and how a precondition fails.
func TestCommonTraits(t *testing.T) {
	_, admin := startOAuth(t)
	admin.Run(
		testserver.Step{
			Request: "POST " + oauthAPI + "oauthclients", Status: 201,
			Body: `{metadata: {generateName: plain, namespace: dropped}, grantMethod: auto}`,
			Want: `metadata: {name: plain, generateName: plain, namespace: null}`,
		},
		testserver.Step{
			Request: "POST " + oauthAPI + "oauthclients", Status: 409, Body: `{metadata: {generateName: plain}, grantMethod: auto}`,
			Want: `{reason: AlreadyExists, details: {retryAfterSeconds: 1}, message: 'oauthclients.oauth.openshift.io "plain" already exists, the server was not able to generate a unique name for the object'}`,
		},
		testserver.Step{
			Request: "PUT " + oauthAPI + "oauthclients/plain", Status: 422, Body: `{metadata: {name: plain}, grantMethod: prompt}`,
			Want: `message: 'oauthclients.oauth.openshift.io "plain" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update'`,
		},
		testserver.Step{Request: "PUT " + oauthAPI + "oauthclients/none", Status: 404, Body: `{metadata: {name: none}, grantMethod: prompt}`},
		testserver.Step{
			Request: "PATCH " + oauthAPI + "oauthclients/applied?fieldManager=a", Headers: []string{apply}, Status: 201,
			Body: `{apiVersion: oauth.openshift.io/v1, kind: OAuthClient, metadata: {name: applied}, grantMethod: auto}`,
			Want: `metadata: {managedFields: [{manager: a, operation: Apply, apiVersion: oauth.openshift.io/v1}]}`,
		},
		testserver.Step{Request: "DELETE " + oauthAPI + "oauthclients/applied?dryRun=All", Status: 200},
		testserver.Step{Request: "DELETE " + oauthAPI + "oauthclients/applied", Status: 200, Want: `{kind: Status, details: {kind: oauthclients, name: applied}}`},
		createToken(first, "ada", ""),
		testserver.Step{
			Request: "DELETE " + oauthAPI + "oauthaccesstokens/" + first, Body: `preconditions: {uid: other}`, Status: 409,
			Want: `{reason: Conflict, details: {kind: OAuthAccessToken, group: oauth.openshift.io}}`,
		},
		testserver.Step{
			Request: "DELETE " + oauthAPI + "oauthaccesstokens?fieldSelector=userName%3Dada", Status: 200,
			Want: `{kind: OAuthAccessTokenList, items: [{metadata: {name: ` + first + `}}]}`,
		},
	)
}

// An authorization is made by PUT as well, but under no other name than its own.
func TestAuthorizationsByPut(t *testing.T) {
	_, admin := startOAuth(t)
	const granted = `clientName: demo, userName: ada, userUID: u`
	at := func(name string) string { return "PUT " + oauthAPI + "oauthclientauthorizations/" + name }
	admin.Run(
		testserver.Step{
			Request: at("mine"), Status: 422, Body: `{metadata: {name: mine}, ` + granted + `, scopes: ["user:info"]}`,
			Want: invalid("OAuthClientAuthorization", "mine", `metadata.name: Invalid value: "mine": must be in the format <userName>:<clientName>`),
		},
		testserver.Step{Request: at("ada:demo"), Status: 201, Body: `{metadata: {name: "ada:demo"}, ` + granted + `, scopes: ["user:info"]}`},
		testserver.Step{
			Request: at("ada:demo"), Status: 422, Body: `{metadata: {name: "ada:demo"}, ` + granted + `, scopes: ["user:full"]}`,
			Want: `message: 'oauthclientauthorizations.oauth.openshift.io "ada:demo" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update'`,
		},
		testserver.Step{
			Request: "PATCH " + oauthAPI + "oauthclientauthorizations/ada:demo", Headers: []string{merge}, Status: 422, Body: `clientName: other`,
			Want: `details: {causes: [{field: metadata.name}, {field: metadata.name}, {field: clientName, message: 'Invalid value: "other": clientName is not a mutable field'}]}`,
		},
		testserver.Step{Request: "PATCH " + oauthAPI + "oauthclientauthorizations/ada:demo", Headers: []string{merge}, Status: 422, Body: `userUID: other`},
		testserver.Step{Request: "GET " + oauthAPI + "oauthclientauthorizations", Status: 200, Want: `items: [{metadata: {name: "ada:demo"}}]`},
		// The client is asked about only when it gets more.
		testserver.Step{Request: "DELETE " + oauthAPI + "oauthclients/demo", Status: 200},
		testserver.Step{Request: "PATCH " + oauthAPI + "oauthclientauthorizations/ada:demo", Headers: []string{merge}, Status: 200, Body: `metadata: {labels: {a: b}}`},
		testserver.Step{
			Request: "PATCH " + oauthAPI + "oauthclientauthorizations/ada:demo", Headers: []string{merge}, Status: 422, Body: `scopes: ["user:full"]`,
			Want: `details: {causes: [{field: clientName, message: 'Internal error: oauthclients.oauth.openshift.io "demo" not found'}]}`,
		},
		testserver.Step{
			Request: "PATCH " + oauthAPI + "oauthclientauthorizations/ada:demo", Headers: []string{merge}, Status: 422, Body: `scopes: []`,
			Want: `details: {causes: [{field: scopes}, {field: clientName}]}`,
		},
	)
}
