package mintmark_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

const trustedIssuers = "/apis/mintmark.io/v1alpha1/trustedissuers"

// publicKeys is a JSON Web Key Set of one key (RFC 7517 appendix A.1).
const publicKeys = `{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}]}`

// trusted is the spec of an issuer, with more fields.
func trusted(url, more string) string {
	return fmt.Sprintf("{url: '%s', audiences: [vault], kubernetes: {}%s}", url, more)
}

// TestTrustedIssuerSpec: each mistake is told by its field, with what to do, and no key is repeated.
func TestTrustedIssuerSpec(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=", "--oidc-issuer-url=https://oidc.example", "--oidc-client-id=c", "--service-account-issuer=https://own.example",
		"--service-account-issuer=https://former.example")
	admin := server.Caller(server.AdminConfig())
	const east = "https://east.example"
	private := strings.Replace(publicKeys, `"use"`, `"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","use"`, 1)
	for spec, want := range map[string]string{
		"{}":                    "spec.url: Required value",
		"{url: '" + east + "'}": "spec.audiences: Required value",
		"{url: 'https://e.example', audiences: [a]}":                                                 "spec.claimMappings: Required value: set claimMappings, or kubernetes",
		trusted("http://east.example", ""):                                                           "spec.url: Invalid value: \"http://east.example\": URL scheme must be https",
		trusted("https://u:p@east.example", ""):                                                      "spec.url: Forbidden: must be https://host or https://host/path, without a username or password",
		trusted("https://own.example", ""):                                                           "spec.url: Invalid value: \"https://own.example\": is this server's own issuer",
		trusted("https://former.example", ""):                                                        "is this server's own issuer",
		trusted("https://oidc.example", ""):                                                          "is an issuer of --authentication-config or --oidc-issuer-url already: leave it there, or remove it there first",
		trusted(east, ", discoveryURL: '"+east+"'"):                                                  "spec.discoveryURL: Invalid value",
		trusted(east, ", discoveryURL: 'https://a.example/d', jwksURI: 'https://a.example/k'"):       "spec.jwksURI: Forbidden: it does not go with discoveryURL",
		trusted(east, ", jwksURI: 'http://a.example/k'"):                                             "spec.jwksURI: Invalid value",
		trusted(east, ", jwksURI: 'https://u:secret@a.example/k'"):                                   "spec.jwksURI: Forbidden: must be https://host",
		trusted(east, ", jwksURI: 'https://a.example/k', jwks: '"+publicKeys+"'"):                    "spec.jwks: Forbidden: it does not go with discoveryURL or jwksURI",
		trusted(east, ", jwks: 'none'"):                                                              "spec.jwks: Invalid value: \"<omitted>\": the key set is not a JSON Web Key Set",
		trusted(east, ", jwks: '{\"keys\":[]}'"):                                                     "the key set has no keys",
		trusted(east, ", jwks: '"+private+"'"):                                                       "spec.jwks: Forbidden: holds a private or symmetric key (a member d)",
		trusted(east, ", jwks: '{\"keys\":[{\"kty\":\"oct\",\"K\":\"870MB6gfuTJ4HtUn\"}]}'"):         "(a member k)",
		trusted(east, ", jwks: '"+strings.Repeat("x", 256<<10+1)+"'"):                                "spec.jwks: Too long",
		trusted(east, ", jwks: '{\"keys\":["+strings.Repeat("1,", 300)+"1]}'"):                       "the key set has 301 keys",
		trusted(east, ", certificateAuthority: 'no PEM'"):                                            "spec.certificateAuthority: Invalid value: \"<omitted>\"",
		trusted(east, ", certificateAuthority: '-----BEGIN EC PRIVATE KEY-----870MB6gfuTJ4HtUn'"):    "spec.certificateAuthority: Forbidden: holds a private key",
		trusted(east, ", claimMappings: {username: {claim: sub, prefix: ''}}"):                       "spec.claimMappings: Forbidden: it does not go with kubernetes",
		trusted(east, ", algorithms: [HS256]"):                                                       "spec.algorithms[0]: Unsupported value",
		trusted(east, ", tenant: {audiences: []}"):                                                   "spec.tenant.audiences: Required value",
		trusted(east, ", audienceMatchPolicy: MatchAll"):                                             "spec.audienceMatchPolicy: Invalid value",
		trusted(east, ", claimValidationRules: [{expression: 'claims.('}]"):                          "spec.claimValidationRules[0].expression: Invalid value",
		trusted(east, ", userValidationRules: [{expression: '1'}]"):                                  "spec.userValidationRules[0].expression: Invalid value",
		trusted(east, ", liveCheck: {kubeconfigSecret: {namespace: a}}"):                             "spec.liveCheck.kubeconfigSecret.name: Required value",
		trusted(east, ", liveCheck: {kubeconfigSecret: {namespace: a, name: b}, onFailure: Ignore}"): "spec.liveCheck.onFailure: Unsupported value",
		trusted(east, ", liveCheck: {kubeconfigSecret: {namespace: a, name: b}, maxStaleness: 1h}"):  "spec.liveCheck.maxStaleness: Invalid value",
		"{url: '" + east + "', audiences: [a, b], kubernetes: {}}":                                   "audienceMatchPolicy must be MatchAny for multiple audiences",
		"{url: '" + east + "', audiences: [a], kubernetes: {prefix: 'system:x:'}}":                   "spec.kubernetes.prefix: Invalid value: \"system:x:\": names with it would begin with system:",
		trusted(east+"?a=b", ""):                                                                     "spec.url: Invalid value",
		trusted(east+"#a", ""):                                                                       "spec.url: Invalid value",
		"{url: '" + east + "', audiences: [a], kubernetes: {prefix: 'SYSTEM:x:'}}":                   "names with it would begin with system:",
		"{url: '" + east + "', audiences: [a], kubernetes: {prefix: \"\\u180b\"}}":                   "a character that can't be seen",
		"{url: '" + east + "', audiences: [a], kubernetes: {prefix: 'a '}}":                          "it has white space around it",
		"{url: '" + east + "', audiences: [a], claimMappings: {username: {claim: sub}}}":             "spec.claimMappings.username.prefix: Required value",
		"{url: '" + east + "', audiences: [a], claimMappings: {username: {claim: sub, prefix: ''}}, liveCheck: {kubeconfigSecret: {namespace: a, name: b}}}": "spec.liveCheck: Forbidden: goes with kubernetes",
		trusted(east, ", userValidationRules: ["+strings.Repeat("{expression: '"+strings.Repeat("x", 16<<10)+"'},", 33)+"]"):                                 "spec: Too long",
		trusted(east, ", userValidationRules: ["+strings.Repeat("{expression: 'true'},", 65)+"]"):                                                            "spec.userValidationRules: Too many: 65",
	} {
		answer, status := admin.Do("POST "+trustedIssuers, "{metadata: {name: bad}, spec: "+spec+"}")
		message, _ := answer.(map[string]any)["message"].(string)
		if status != 422 || !strings.Contains(message, want) || strings.Contains(message, "870MB6gf") {
			t.Errorf("%.120s: %d %.300s, want %s", spec, status, message, want)
		}
	}
}

// TestTrustedIssuerObject: the object is one of Kubernetes: apply, dry run, generation, status, table.
func TestTrustedIssuerObject(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin := server.Caller(server.AdminConfig())
	applied, merged := []string{"Content-Type: application/apply-patch+yaml"}, []string{"Content-Type: application/merge-patch+json"}
	object := func(more string) string {
		return "{apiVersion: mintmark.io/v1alpha1, kind: TrustedIssuer, metadata: {name: east}, spec: " +
			trusted("https://east.example", ", jwks: '"+publicKeys+"'"+more) + "}"
	}
	apply := "PATCH " + trustedIssuers + "/east?fieldManager=m"
	admin.Run(
		testserver.Step{Request: apply + "&dryRun=All", Headers: applied, Status: 201, Body: object("")},
		testserver.Step{Request: "GET " + trustedIssuers + "/east", Status: 404},
		testserver.Step{
			Request: apply, Headers: applied, Status: 201, Body: strings.Replace(object(""), "spec:", "status: {observedGeneration: 7}, spec:", 1),
			Want: "{metadata: {generation: 1}, spec: {url: 'https://east.example', kubernetes: {}}, status: {observedGeneration: null}}",
		},
		testserver.Step{Request: "POST " + trustedIssuers, Status: 409, Body: "{metadata: {name: east}, spec: " + trusted("https://west.example", "") + "}"},
		testserver.Step{
			Request: "POST " + trustedIssuers, Status: 422, Body: "{metadata: {name: again}, spec: " + trusted("https://east.example", "") + "}",
			Want: `{message: 'TrustedIssuer.mintmark.io "again" is invalid: spec.url: Invalid value: "https://east.example": is the url of the trusted issuer east: change that one, or delete it first. If two clusters have this issuer, their tokens can''t be told apart: give one of them an issuer of its own, as the first --service-account-issuer of its kube-apiserver, and keep the present one there as the second'}`,
		},
		testserver.Step{
			Request: "PATCH " + trustedIssuers + "/east", Headers: merged, Status: 422, Body: "{spec: {url: 'https://west.example'}}",
			Want: `{message: 'TrustedIssuer.mintmark.io "east" is invalid: spec.url: Forbidden: can''t be changed: make another object for the other issuer, and delete this one'}`,
		},
		testserver.Step{Request: apply, Headers: applied, Status: 200, Body: object(", algorithms: [ES256]"), Want: "{metadata: {generation: 2}, spec: {algorithms: [ES256]}}"},
		testserver.Step{Request: apply, Headers: applied, Status: 200, Body: object(""), Want: "{metadata: {generation: 3}, spec: {algorithms: null}}"},
		testserver.Step{
			Request: "PATCH " + trustedIssuers + "/east", Headers: merged, Status: 200, Body: "{metadata: {labels: {a: b}}, status: {observedGeneration: 9}}",
			Want: "{metadata: {generation: 3, labels: {a: b}}, status: {observedGeneration: null}}",
		},
		testserver.Step{
			Request: "PATCH " + trustedIssuers + "/east/status", Headers: merged, Status: 200,
			Body: `{metadata: {labels: {a: c}}, spec: {audiences: [x]}, status: {observedGeneration: 3, keyIDs: ["1"], keysReadTime: "2030-01-01T00:00:00Z",
conditions: [{type: Ready, status: "False", reason: Unreachable, message: down, lastTransitionTime: "2030-01-01T00:00:00Z"}]}}`,
			Want: "{metadata: {generation: 3, labels: {a: b}}, spec: {audiences: [vault]}, status: {observedGeneration: 3}}",
		},
		testserver.Step{Request: "PATCH " + trustedIssuers + "/east/status", Headers: merged, Status: 422, Body: "{status: {conditions: [{type: Ready}]}}"},
		testserver.Step{Request: "PATCH " + trustedIssuers + "/east", Headers: merged, Status: 422, Body: "{metadata: {finalizers: [a.example/b]}}"},
		testserver.Step{Request: "PUT " + trustedIssuers + "/none", Status: 404, Body: strings.ReplaceAll(object(""), "east", "none")},
		testserver.Step{
			Request: "GET " + trustedIssuers, Headers: []string{"Accept: application/json;as=Table;v=v1;g=meta.k8s.io"}, Status: 200,
			Want: `{columnDefinitions: [{name: Name}, {name: URL}, {name: State}, {name: Keys}, {name: Last-Refresh}, {name: Age}, {name: Audiences, priority: 1}, {name: Message, priority: 1}]}`,
		},
	)
	for _, test := range [][2]string{{"{}", "Inline"}, {"{spec: {jwks: null}}", "2030-01-01T00:00:00Z"}} {
		change, read := test[0], test[1]
		admin.Run(testserver.Step{Request: "PATCH " + trustedIssuers + "/east", Headers: merged, Status: 200, Body: change})
		table, _ := admin.Do("GET "+trustedIssuers, "", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io")
		row, _ := json.Marshal(table.(map[string]any)["rows"].([]any)[0].(map[string]any)["cells"])
		if got := string(row); !strings.HasPrefix(got, `["east","https://east.example","Unreachable","1","`+read+`",`) || !strings.HasSuffix(got, `"vault","down"]`) {
			t.Errorf("the row is %s", got)
		}
	}
	admin.Run(
		testserver.Step{Request: "DELETE " + trustedIssuers + "/east?propagationPolicy=Foreground", Status: 200},
		testserver.Step{Request: "GET " + trustedIssuers + "/east", Status: 404},
		testserver.Step{Request: "POST " + trustedIssuers, Status: 201, Body: "{metadata: {generateName: again-}, spec: " + trusted("https://east.example", "") + "}"},
		testserver.Step{Request: "DELETE " + trustedIssuers, Status: 200},
	)
}

// rules are the rules of a role that lets its holder write trustedissuers, and more.
func rules(more string) string {
	return "[{apiGroups: [mintmark.io], resources: [trustedissuers], verbs: [create, get, update, patch, delete, deletecollection, list]}" + more + "]"
}

// TestWhoMayTrust: whoever has an issuer trusted may impersonate everybody, or has the verb trust; at each door. The secret of a
// live check must be one that the caller may read.
func TestWhoMayTrust(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin := server.Caller(server.AdminConfig())
	names := []string{"writer", "truster", "impersonator", "users-only"}
	tokens := accounts(t, admin, "default", names...)
	impersonate := ", {apiGroups: [''], resources: [users, groups, serviceaccounts], verbs: [impersonate]}" +
		", {apiGroups: [authentication.k8s.io], resources: [uids%s], verbs: [impersonate]}"
	for i, more := range []string{
		"",
		", {apiGroups: [mintmark.io], resources: [trustedissuers], resourceNames: [east], verbs: [trust]}, {apiGroups: [''], resources: [secrets], resourceNames: [kubeconfig], verbs: [get]}",
		fmt.Sprintf(impersonate, ", userextras/*"),
		fmt.Sprintf(impersonate, ", userextras/scopes") + ", {apiGroups: [''], resources: [users], resourceNames: [ann], verbs: [impersonate]}",
	} {
		admin.Run(
			testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterroles", Status: 201, Body: "{metadata: {name: " + names[i] + "}, rules: " + rules(more) + "}"},
			testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", Status: 201, Body: "{metadata: {name: " + names[i] +
				"}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: " + names[i] + "}, subjects: [{kind: ServiceAccount, name: " + names[i] + ", namespace: default}]}"},
		)
	}
	writer, truster := server.Caller(server.TokenConfig(tokens[0])), server.Caller(server.TokenConfig(tokens[1]))
	impersonator, usersOnly := server.Caller(server.TokenConfig(tokens[2])), server.Caller(server.TokenConfig(tokens[3]))
	applied, merged := []string{"Content-Type: application/apply-patch+yaml"}, []string{"Content-Type: application/merge-patch+json"}
	body := func(name, more string) string {
		return "{apiVersion: mintmark.io/v1alpha1, kind: TrustedIssuer, metadata: {name: " + name + "}, spec: " + trusted("https://"+name+".example", more) + "}"
	}
	live := func(name string) string {
		return ", liveCheck: {kubeconfigSecret: {namespace: default, name: " + name + "}}"
	}
	refused := `{message: 'trustedissuers.mintmark.io "east" is forbidden: User "system:serviceaccount:default:%s" cannot trust resource "trustedissuers" in API group "mintmark.io" at the cluster scope: a trusted issuer can name any user: this takes the verb trust, or the right to impersonate all users, groups, uids, userextras and serviceaccounts'}`
	writer.Run(
		testserver.Step{Request: "POST " + trustedIssuers, Status: 403, Body: body("east", ""), Want: fmt.Sprintf(refused, "writer")},
		testserver.Step{Request: "POST " + trustedIssuers + "?dryRun=All", Status: 403, Body: body("east", "")},
		testserver.Step{Request: "PATCH " + trustedIssuers + "/east?fieldManager=m", Headers: applied, Status: 403, Body: body("east", "")},
	)
	usersOnly.Run(testserver.Step{Request: "POST " + trustedIssuers, Status: 403, Body: body("east", ""), Want: fmt.Sprintf(refused, "users-only")})
	impersonator.Run(
		testserver.Step{Request: "POST " + trustedIssuers, Status: 201, Body: body("west", "")},
		testserver.Step{
			Request: "PATCH " + trustedIssuers + "/west", Headers: merged, Status: 403, Body: "{spec: {liveCheck: {kubeconfigSecret: {namespace: default, name: kubeconfig}}}}",
			Want: `{message: 'secrets "kubeconfig" is forbidden: User "system:serviceaccount:default:impersonator" cannot get resource "secrets" in API group "" in the namespace "default": spec.liveCheck.kubeconfigSecret must be a secret that you may get'}`,
		},
	)
	truster.Run(
		testserver.Step{Request: "POST " + trustedIssuers, Status: 403, Body: body("other", "")},
		testserver.Step{Request: "POST " + trustedIssuers, Status: 403, Body: strings.Replace(body("other", ""), "name: other", "generateName: east", 1)},
		testserver.Step{Request: "POST " + trustedIssuers, Status: 403, Body: body("east", live("another"))},
		testserver.Step{Request: "PATCH " + trustedIssuers + "/east?fieldManager=m", Headers: applied, Status: 201, Body: body("east", live("kubeconfig"))},
	)
	stored, _ := admin.Do("GET "+trustedIssuers+"/east", "")
	whole, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	writer.Run(
		// Metadata is anybody's who may write the object; the spec is not.
		testserver.Step{Request: "PATCH " + trustedIssuers + "/east", Headers: merged, Status: 200, Body: "{metadata: {labels: {a: b}}}"},
		testserver.Step{Request: "PATCH " + trustedIssuers + "/east", Headers: merged, Status: 403, Body: "{spec: {kubernetes: {prefix: 'x:'}}}"},
		testserver.Step{Request: "PATCH " + trustedIssuers + "/east?fieldManager=m&force=true", Headers: applied, Status: 403, Body: body("east", ", algorithms: [ES256]")},
		testserver.Step{Request: "PUT " + trustedIssuers + "/east", Status: 403, Body: strings.Replace(strings.Replace(string(whole), `["vault"]`, `["x"]`, 1), `"resourceVersion"`, `"x"`, 1)},
		testserver.Step{Request: "PATCH " + trustedIssuers + "/west", Headers: merged, Status: 403, Body: "{spec: null}"},
		// A status is not theirs either: it has its own resource.
		testserver.Step{Request: "PATCH " + trustedIssuers + "/east/status", Headers: merged, Status: 403, Body: "{status: {observedGeneration: 1}}"},
		// Trust can be taken away without it.
		testserver.Step{Request: "DELETE " + trustedIssuers + "/east", Status: 200},
		testserver.Step{Request: "DELETE " + trustedIssuers, Status: 200},
	)
}
