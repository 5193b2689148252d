package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	reasonKey        = "authentication.mintmark.io/reason"
	explanationsPath = "/apis/mintmark.io/v1alpha1/tokenexplanations"
)

// startExplaining starts a server whose audit policy asks for bodies.
func startExplaining(t *testing.T) audited {
	t.Helper()
	dir := t.TempDir()
	policy, log, tokens := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log"), filepath.Join(dir, "tokens.csv")
	for name, text := range map[string]string{
		policy: "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse}]\n", tokens: "static-token,ann,1\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return audited{testserver.Start(t, "--openshift-api", "--enable-bootstrap-token-auth", "--token-auth-file="+tokens,
		"--audit-policy-file="+policy, "--audit-log-path="+log), t, log}
}

// explain asks for an explanation as the administrator, and returns it and the text of the answer.
func (a audited) explain(token, id string) (v1alpha1.TokenExplanationStatus, string) {
	a.t.Helper()
	body := fmt.Sprintf(`{"kind":"TokenExplanation","apiVersion":"mintmark.io/v1alpha1","spec":{"token":%q}}`, token)
	_, answer := a.post(a.AdminConfig(), explanationsPath, body, id)
	var explanation v1alpha1.TokenExplanation
	if err := json.Unmarshal([]byte(answer), &explanation); err != nil || explanation.Status.Verdict == "" {
		a.t.Fatalf("no explanation: %v %s", err, answer)
	}
	return explanation.Status, answer
}

var reviewsTotal = regexp.MustCompile(`(?m)^mintmark_token_reviews_total\{reason="(\w+)",verdict="(\w+)"\} (\d+)$`)

// counted returns how many reviews were answered, by verdict and reason.
func (a audited) counted() map[string]int {
	a.t.Helper()
	text, err := a.Admin().CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	counts := map[string]int{}
	for _, match := range reviewsTotal.FindAllStringSubmatch(string(text), -1) {
		if counts[match[2]+" "+match[1]], err = strconv.Atoi(match[3]); err != nil {
			a.t.Fatal(err)
		}
	}
	return counts
}

// asked is a token, and what a review and an explanation say about it.
type asked struct{ token, verdict, reason, authenticator string }

// TestReasonsEverywhere reviews good and bad tokens at each endpoint. The audit event, the metric and the explanation have
// the same reason, whatever way the review went. It is not parallel, since the metric is the process's.
func TestReasonsEverywhere(t *testing.T) { //nolint:paralleltest // it counts
	a := startExplaining(t)
	tokens := map[string]asked{}
	for kind, by := range map[string]string{"static": "StaticToken", "bound": "ServiceAccount", "legacy": "ServiceAccount", "bootstrap": "BootstrapToken", "opaque": "AccessToken"} {
		tokens[kind] = asked{"", "Authenticated", "Accepted", by}
	}
	bound := ""
	for kind, one := range a.plant() {
		known := tokens[kind]
		known.token = one.token
		tokens[kind] = known
		if kind == "bound" {
			bound = one.token
		}
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}}}
	elsewhere, err := a.Admin().CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tokens["forged"] = asked{bound[:len(bound)-20] + "AAAAAAAAAAAAAAAAAAAA", "Refused", "BadSignature", "ServiceAccount"}
	tokens["for others"] = asked{elsewhere.Status.Token, "Refused", "AudienceMismatch", "ServiceAccount"}
	tokens["of others"] = asked{"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVycy5leGFtcGxlIn0.c2ln", "Refused", "UnknownIssuer", ""}
	tokens["no JWT"] = asked{"eyJhbGciOiJFUzI1NiJ9.e30.####", "Refused", "UnknownIssuer", ""}
	tokens["a password"] = asked{"correct-horse-battery-staple", "Refused", "UnknownToken", ""}
	tokens["unknown opaque"] = asked{"sha256~bm90aGluZy1pcy1zdG9yZWQ", "Refused", "UnknownToken", ""}
	tokens["blank"] = asked{"  ", "Refused", "NoCredential", ""}

	for door, path := range map[string]string{"fast path": reviewsPath, "generic chain": reviewsPath + "?pretty=0", "webhook": "/authenticate"} {
		want := a.counted()
		for kind, test := range tokens {
			name := kind + ", " + door
			event, answer := a.post(a.AdminConfig(), path, reviewOf(test.token), name)
			if got := event.Annotations[reasonKey]; got != test.reason || event.Annotations[verdictKey] != test.verdict {
				t.Errorf("%s: audited as %s %s, want %s %s: %s", name, event.Annotations[verdictKey], got, test.verdict, test.reason, answer)
			}
			want[test.verdict+" "+test.reason]++
		}
		if diff := cmp.Diff(want, a.counted()); diff != "" {
			t.Errorf("%s: counted otherwise than wanted:\n%s", door, diff)
		}
	}
	a.checkExplanations(tokens)
	log, err := os.ReadFile(a.log)
	if err != nil {
		t.Fatal(err)
	}
	for kind, test := range tokens {
		if len(test.token) > 20 && strings.Contains(string(log), test.token) {
			t.Errorf("%s: the audit log has the token", kind)
		}
	}
}

// checkExplanations has each token explained. Explanations are not counted as reviews.
func (a audited) checkExplanations(tokens map[string]asked) {
	a.t.Helper()
	counted := a.counted()
	for kind, test := range tokens {
		status, answer := a.explain(test.token, kind)
		if string(status.Verdict) != test.verdict || status.Reason != test.reason || status.Authenticator != test.authenticator {
			a.t.Errorf("%s: explained as %s %s by %q, want %s %s by %q", kind, status.Verdict, status.Reason, status.Authenticator, test.verdict, test.reason, test.authenticator)
		}
		if len(test.token) > 20 && strings.Contains(answer, test.token[len(test.token)-20:]) {
			a.t.Errorf("%s: the explanation repeats the token or a part of it", kind)
		}
	}
	if diff := cmp.Diff(counted, a.counted()); diff != "" {
		a.t.Errorf("explanations are counted as reviews:\n%s", diff)
	}
}

// TestReasonsOfCallers: the audit event of a 401 has the reason, whichever way the request went.
func TestReasonsOfCallers(t *testing.T) {
	t.Parallel()
	a := startAudited(t, "--controllers=", "--anonymous-auth=false")
	makeAccounts(t, a.Admin(), "app")
	token := issue(t, a.Admin(), "app", nil)
	for want, presented := range map[string]string{
		"BadSignature": token[:len(token)-20] + "AAAAAAAAAAAAAAAAAAAA", "UnknownToken": "nonsense", "NoCredential": "",
		"UnknownIssuer": "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL290aGVycy5leGFtcGxlIn0.c2ln",
	} {
		for door, path := range reviewDoors {
			event, _ := a.post(a.TokenConfig(presented), path, reviewOf(token), want+door)
			if event.ResponseStatus.Code != http.StatusUnauthorized || event.Annotations[reasonKey] != want {
				t.Errorf("%s: status %d, reason %q, want %q", door, event.ResponseStatus.Code, event.Annotations[reasonKey], want)
			}
		}
	}
}

// TestExplanationsAreForAdministrators: a reviewer of tokens may not have them explained until that is granted.
func TestExplanationsAreForAdministrators(t *testing.T) {
	t.Parallel()
	a := testserver.Start(t, "--controllers=")
	makeAccounts(t, a.Admin(), "reviewer")
	reviewer := issue(t, a.Admin(), "reviewer", nil)
	admin := a.Caller(a.AdminConfig())
	bind := func(role string) testserver.Step {
		return testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", Status: 201, Body: `
metadata: {generateName: b-}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "` + role + `"}
subjects: [{kind: ServiceAccount, name: reviewer, namespace: default}]`}
	}
	ask := testserver.Step{Request: "POST " + explanationsPath, Body: "{spec: {token: nonsense}}"}
	with := func(status int) testserver.Step { ask.Status = status; return ask }
	caller := a.Caller(a.TokenConfig(reviewer))
	for _, role := range []string{"system:auth-delegator", "admin", "edit", "view"} {
		admin.Run(bind(role))
	}
	caller.Run(with(http.StatusForbidden))
	admin.Run(testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterroles", Status: 201, Body: `
metadata: {name: explainer}
rules: [{verbs: [create], apiGroups: [mintmark.io], resources: [tokenexplanations]}]`}, bind("explainer"))
	caller.Run(with(http.StatusCreated),
		testserver.Step{Request: "POST " + explanationsPath, Body: "{spec: {}}", Status: http.StatusBadRequest},
		testserver.Step{Request: "POST " + explanationsPath, Body: "{spec: {token: a, tokens: b}}", Status: http.StatusCreated},
	)
	admin.Run(testserver.Step{Request: "GET " + explanationsPath, Status: http.StatusMethodNotAllowed})
}
