package apiserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

// Whatever the policy asks for, the records of requests about clients and tokens hold no bodies.
func TestAuditHoldsNoSecretsOfClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := testserver.Start(t, "--controllers=", "--openshift-api", "--audit-policy-file="+policy, "--audit-log-path="+log)
	const (
		api     = "/apis/oauth.openshift.io/v1/"
		name    = "sha256~ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
		granted = "clientName: demo, userName: ada, userUID: u, scopes: ['user:info']"
		secret  = "Planted"
	)
	server.Caller(server.AdminConfig()).Run(
		testserver.Step{
			Request: "POST " + api + "oauthclients", Status: 201,
			Body: `{metadata: {name: demo}, grantMethod: auto, secret: ` + secret + `1, additionalSecrets: [` + secret + `2]}`,
		},
		testserver.Step{
			Request: "POST " + api + "oauthaccesstokens", Status: 201,
			Body: `{metadata: {name: ` + name + `}, ` + granted + `, redirectURI: "https://demo.example", authorizeToken: ` + secret + `3, refreshToken: ` + secret + `4}`,
		},
		testserver.Step{
			Request: "POST " + api + "oauthauthorizetokens", Status: 201,
			Body: `{metadata: {name: ` + name + `}, ` + granted + `, redirectURI: "https://demo.example", expiresIn: 300, state: ` + secret + `5,
				codeChallenge: ` + secret + strings.Repeat("6", 40) + `}`,
		},
		// What is refused is not repeated either.
		testserver.Step{
			Request: "PATCH " + api + "oauthaccesstokens/" + name, Headers: []string{"Content-Type: application/merge-patch+json"},
			Body: `refreshToken: ` + secret + `7`, Status: 422,
		},
		testserver.Step{
			Request: "POST " + api + "oauthclientauthorizations", Status: 201,
			Body: `{metadata: {labels: {shown: recorded-body}}, ` + granted + `}`,
		},
		testserver.Step{Request: "GET " + api + "oauthclients", Status: 200},
		testserver.Step{Request: "DELETE " + api + "oauthaccesstokens/" + name, Status: 200},
	)
	records, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	text := string(records)
	if at := strings.Index(text, secret); at >= 0 {
		t.Errorf("a secret in the audit log: …%s…", text[max(0, at-300):at+len(secret)])
	}
	for _, seen := range []string{`"resource":"oauthclients"`, `"resource":"oauthaccesstokens"`, `"resource":"oauthauthorizetokens"`, "recorded-body"} {
		if !strings.Contains(text, seen) {
			t.Errorf("the audit log holds no %s", seen)
		}
	}
}
