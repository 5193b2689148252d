package mintmark_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	tokenRevocations = "/apis/mintmark.io/v1alpha1/tokenrevocations"
	reviews          = "/apis/authentication.k8s.io/v1/tokenreviews"
)

// accounts makes service accounts in a namespace and returns a token of each.
func accounts(t *testing.T, admin testserver.Caller, namespace string, names ...string) (tokens []string) {
	t.Helper()
	for _, name := range names {
		path := "POST /api/v1/namespaces/" + namespace + "/serviceaccounts"
		admin.Run(testserver.Step{Request: path, Body: "{metadata: {name: " + name + "}}", Status: 201})
		tokens = append(tokens, token(t, admin, namespace, name))
	}
	return tokens
}

func token(t *testing.T, admin testserver.Caller, namespace, name string) string {
	t.Helper()
	answer, status := admin.Do("POST /api/v1/namespaces/"+namespace+"/serviceaccounts/"+name+"/token", "{spec: {expirationSeconds: 600}}")
	if status != 201 {
		t.Fatal(status)
	}
	return answer.(map[string]any)["status"].(map[string]any)["token"].(string)
}

// good reports whether a review accepts a token, and its credential id.
func good(t *testing.T, admin testserver.Caller, token string) (bool, string) {
	t.Helper()
	answer, status := admin.Do("POST "+reviews, "{spec: {token: "+token+"}}")
	if status != 201 {
		t.Fatal(status)
	}
	review := answer.(map[string]any)["status"].(map[string]any)
	if accepted, _ := review["authenticated"].(bool); !accepted {
		return false, ""
	}
	return true, review["user"].(map[string]any)["extra"].(map[string]any)["authentication.kubernetes.io/credential-id"].([]any)[0].(string)
}

// TestRevocationSpec: a spec has one of the alternatives, and each mistake is told without the token.
func TestRevocationSpec(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin := server.Caller(server.AdminConfig())
	app := accounts(t, admin, "default", "app")[0]
	later, now := time.Now().Add(time.Hour).UTC().Format(time.RFC3339), time.Now().Add(-time.Second).UTC().Truncate(time.Second)
	for spec, want := range map[string]string{
		"{}":                                    "spec: Required value: one of credentialID",
		"{reason: x}":                           "spec: Required value",
		"{credentialID: a, keyID: b}":           "one of credentialID, keyID is allowed",
		"{token: " + app + ", credentialID: a}": "one of credentialID, token is allowed",
		"{credentialID: a, issuedBefore: '2026-01-01T00:00:00Z'}": "spec.issuedBefore: Forbidden",
		"{issuedBefore: '2026-01-01T00:00:00Z', issuer: b}":       "spec.issuer: Forbidden",
		"{tokenHash: abc}":                                                   "spec.tokenHash: Forbidden: must be a SHA-256",
		"{issuedBefore: '" + later + "'}":                                    "is in the future: this server's clock says",
		"{serviceAccount: {namespace: default}}":                             "spec.serviceAccount.name: Required",
		"{serviceAccount: {namespace: A, name: b}}":                          "spec.serviceAccount.namespace: Invalid",
		"{subject: {issuer: a}}":                                             "spec.subject.subject: Required",
		"{clientCertificate: {}}":                                            "spec.clientCertificate.username: Required",
		"{clientCertificate: {username: a}, keyID: b}":                       "one of keyID, clientCertificate is allowed",
		"{clientCertificate: {username: a}, issuedBefore: '" + later + "'}":  "is in the future",
		"{clientCertificate: {username: " + strings.Repeat("x", 2049) + "}}": "spec.clientCertificate.username: Too long",
		"{credentialID: a, reason: " + strings.Repeat("x", 1025) + "}":       "spec.reason: Too long",
		"{token: 'a b'}":                                                     "spec.token is no token",
		"{token: " + app + ", reason: 'leaked: " + app + "'}":                "the token stands outside spec.token",
	} {
		answer, status := admin.Do("POST "+tokenRevocations, "{metadata: {name: bad}, spec: "+spec+"}")
		message := answer.(map[string]any)["message"].(string)
		if status/100 != 4 || !strings.Contains(message, want) || strings.Contains(message, app) {
			t.Errorf("%s: %d %s, want %s", spec, status, message, want)
		}
	}
	admin.Run(
		testserver.Step{
			Request: "POST " + tokenRevocations, Status: 201, Body: "{metadata: {name: id}, spec: {credentialID: JTI=nobodys, reason: a test}}",
			Want: "{spec: {credentialID: nobodys}, status: {revokedBy: admin}}",
		},
		// An instant with a fraction covers what was issued before it, so it is rounded up.
		testserver.Step{
			Request: "POST " + tokenRevocations, Status: 201, Body: "{metadata: {name: part}, spec: {keyID: k, issuedBefore: '" + now.Format("2006-01-02T15:04:05") + ".5Z" + "'}}",
			Want: "{spec: {issuedBefore: '" + now.Add(time.Second).Format(time.RFC3339) + "'}}",
		},
		testserver.Step{Request: "POST " + tokenRevocations, Status: 409, Body: "{metadata: {name: id}, spec: {credentialID: b}}"},
		testserver.Step{Request: "POST " + tokenRevocations, Status: 422, Body: "{metadata: {name: owned, ownerReferences: [{apiVersion: v1, kind: Node, name: node, uid: u}]}, spec: {credentialID: b}}"},
		// Metadata may change, and nothing else.
		testserver.Step{
			Request: "PATCH " + tokenRevocations + "/id", Headers: []string{"Content-Type: application/merge-patch+json"}, Status: 200,
			Body: "{metadata: {labels: {incident: a7}}, spec: {credentialID: JTI=nobodys}, status: {revokedBy: mallory, expires: '2020-01-01T00:00:00Z'}}",
			Want: "{metadata: {labels: {incident: a7}}, status: {revokedBy: admin}}",
		},
		testserver.Step{
			Request: "PATCH " + tokenRevocations + "/id", Headers: []string{"Content-Type: application/merge-patch+json"}, Status: 422,
			Body: "{spec: {credentialID: another}}", Want: `{message: 'TokenRevocation.mintmark.io "id" is invalid: spec: Forbidden: a revocation can''t be changed: delete it and make another one'}`,
		},
		testserver.Step{
			Request: "PATCH " + tokenRevocations + "/id", Headers: []string{"Content-Type: application/merge-patch+json"}, Status: 422, Body: "{spec: {token: " + app + "}}",
		},
		// An apply creates it as well, and no trace of the token stays.
		testserver.Step{
			Request: "PATCH " + tokenRevocations + "/applied?fieldManager=m", Headers: []string{"Content-Type: application/apply-patch+yaml"}, Status: 201,
			Body: "{apiVersion: mintmark.io/v1alpha1, kind: TokenRevocation, metadata: {name: applied, annotations: {kubectl.kubernetes.io/last-applied-configuration: '" + app + "'}}, spec: {token: " + app + "}}",
		},
		testserver.Step{
			Request: "GET " + tokenRevocations, Headers: []string{"Accept: application/json;as=Table;v=v1;g=meta.k8s.io"}, Status: 200,
			Want: `{columnDefinitions: [{name: Name}, {name: Covers}, {name: Issued-Before}, {name: Expires}, {name: Age}, {name: Revoked-By, priority: 1}, {name: Reason, priority: 1}]}`,
		},
	)
	if accepted, _ := good(t, admin, app); accepted {
		t.Error("the token is accepted although it was taken back")
	}
	list, _ := admin.Do("GET "+tokenRevocations, "")
	text, _ := json.Marshal(list)
	for _, part := range []string{app, strings.Split(app, ".")[1], "f:token\""} {
		if strings.Contains(string(text), part) {
			t.Error("a part of the token, or its field, is stored")
		}
	}
	// Deleted, the token is good again: the entry is what counts.
	admin.Run(testserver.Step{Request: "DELETE " + tokenRevocations + "/applied?propagationPolicy=Foreground", Status: 200})
	if accepted, _ := good(t, admin, app); !accepted {
		t.Error("the token is refused although the entry is gone")
	}
}

// TestWhoMayRevoke: a holder may take back the token that it holds, a permission allows all tokens of an account, and callers gain
// nothing else.
func TestWhoMayRevoke(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin := server.Caller(server.AdminConfig())
	for _, namespace := range []string{"a", "b"} {
		admin.Run(testserver.Step{Request: "POST /api/v1/namespaces", Body: "{metadata: {name: " + namespace + "}}", Status: 201})
	}
	tokens := accounts(t, admin, "a", "app", "other", "chief")
	app, other, chief := tokens[0], tokens[1], tokens[2]
	inB := accounts(t, admin, "b", "app")[0]
	_, appID := good(t, admin, app)
	_, otherID := good(t, admin, other)
	admin.Run(
		testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/namespaces/a/roles", Status: 201, Body: "{metadata: {name: revoker}, rules: [{apiGroups: [''], resources: [serviceaccounts], verbs: [revoke]}]}"},
		testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/namespaces/a/rolebindings", Status: 201, Body: `
{metadata: {name: revoker}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: revoker}, subjects: [{kind: ServiceAccount, name: chief, namespace: a}]}`},
	)
	const nobody = ""
	forbidden := func(caller, spec string) {
		t.Helper()
		if answer, status := server.Caller(server.TokenConfig(caller)).Do("POST "+tokenRevocations, "{spec: "+spec+"}"); status != 403 {
			t.Errorf("%s: %d %v", spec[:min(len(spec), 60)], status, answer)
		}
	}
	account := func(namespace, name string) string {
		return "{serviceAccount: {namespace: " + namespace + ", name: " + name + "}}"
	}
	tampered := app[:len(app)-8] + "AAAAAAAA"
	for _, caller := range []string{app, nobody} {
		for _, spec := range []string{
			"{}", "{credentialID: " + otherID + "}", "{credentialID: " + appID + ", issuer: https://another.example}", "{tokenHash: " + strings.Repeat("ab", 32) + "}",
			"{issuedBefore: '2026-01-01T00:00:00Z'}", "{keyID: k}", "{subject: {issuer: a, subject: b}}", account("a", "app"), "{token: " + tampered + "}",
			"{credentialID: " + appID + ", keyID: k}",
		} {
			forbidden(caller, spec)
		}
	}
	forbidden(nobody, "{token: "+app+"}") // for callers without a credential there is /oauth/revoke
	forbidden(chief, account("b", "app"))
	forbidden(chief, "{issuedBefore: '2026-01-01T00:00:00Z'}")
	forbidden(chief, "{credentialID: "+appID+"}")
	holder := server.Caller(server.TokenConfig(app))
	holder.Run(
		testserver.Step{Request: "GET " + tokenRevocations, Status: 403},
		testserver.Step{Request: "POST " + tokenRevocations, Status: 400, Body: "{metadata: {finalizers: [a.example/b]}, spec: {credentialID: " + appID + "}}"},
		testserver.Step{Request: "POST " + tokenRevocations + "?dryRun=All", Status: 201, Body: "{spec: {credentialID: " + appID + "}}"},
	)
	if accepted, _ := good(t, admin, app); !accepted {
		t.Fatal("taken back by a dry run, or by a caller who may not")
	}
	holder.Run(
		testserver.Step{
			Request: "POST " + tokenRevocations, Status: 201, Body: "{spec: {credentialID: " + appID + "}}",
			Want: "{status: {revokedBy: 'system:serviceaccount:a:app'}}",
		},
		testserver.Step{Request: "POST " + tokenRevocations, Status: 401, Body: "{spec: {credentialID: " + appID + "}}"},
	)
	server.Caller(server.TokenConfig(chief)).Run(testserver.Step{
		Request: "POST " + tokenRevocations, Status: 201, Body: "{spec: " + account("a", "other") + "}", Want: "{status: {revokedBy: 'system:serviceaccount:a:chief'}}",
	})
	for name, test := range map[string]struct {
		token string
		want  bool
	}{"app": {app, false}, "other": {other, false}, "chief": {chief, true}, "app in b": {inB, true}} {
		if accepted, _ := good(t, admin, test.token); accepted != test.want {
			t.Errorf("%s: accepted: %t", name, accepted)
		}
	}
}

// TestIssuedBefore: "now" covers the token that was issued a moment ago, and a token that is issued two seconds later is good.
func TestIssuedBefore(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin := server.Caller(server.AdminConfig())
	before := accounts(t, admin, "default", "app")[0]
	admin.Run(testserver.Step{Request: "POST " + tokenRevocations, Status: 201, Body: "{metadata: {name: all}, spec: {serviceAccount: {namespace: default, name: app}}}"})
	if accepted, _ := good(t, admin, before); accepted {
		t.Error("the token of a moment ago is accepted")
	}
	for start := time.Now(); ; {
		if accepted, _ := good(t, admin, token(t, admin, "default", "app")); accepted {
			break
		}
		if time.Since(start) > 30*time.Second {
			t.Fatal("new tokens are refused")
		}
	}
}

// TestRevocationExpires: an entry ends after the last token that it covers, as far as that is known.
func TestRevocationExpires(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(file, []byte("static-token,ann,ann-uid\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := testserver.Start(t, "--controllers=", "--service-account-max-token-expiration=2h", "--token-auth-file="+file)
	admin := server.Caller(server.AdminConfig())
	app := accounts(t, admin, "default", "app")[0]
	const none, some = time.Duration(0), time.Duration(-1)
	key := revocation.Read(app).KeyID
	for i, test := range []struct {
		spec string
		want time.Duration // from now, with leeway and margin; none for no end, some for any
	}{
		{"{token: " + app + "}", 16 * time.Minute},
		{"{token: static-token}", none},
		{"{token: unknown}", none},
		{"{credentialID: a, issuer: https://another.example}", none},
		{"{subject: {issuer: a, subject: b}}", none},
		{"{keyID: theirs}", none},
		{"{keyID: " + key + "}", some},
		{"{keyID: " + key + ", issuer: https://another.example}", none},
		{"{issuedBefore: '2020-01-01T00:00:00Z'}", none},
		{"{clientCertificate: {username: vm1}}", 365*24*time.Hour + 6*time.Minute},
	} {
		answer, status := admin.Do("POST "+tokenRevocations, fmt.Sprintf("{metadata: {name: e%d}, spec: %s}", i, test.spec))
		if status != 201 {
			t.Fatalf("%d %v", status, answer)
		}
		expires, _ := answer.(map[string]any)["status"].(map[string]any)["expires"].(string)
		if test.want == none {
			if expires != "" {
				t.Errorf("%d: expires %s, want never", i, expires)
			}
			continue
		}
		if test.want == some {
			if expires == "" {
				t.Errorf("%d: expires never", i)
			}
			continue
		}
		if end, err := time.Parse(time.RFC3339, expires); err != nil || time.Until(end).Round(time.Minute) != test.want {
			t.Errorf("%d: expires %s, want in %s", i, expires, test.want)
		}
	}
}
