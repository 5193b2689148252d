package apiserver_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/audittrail"
	"github.com/mintmark/mintmark/internal/testserver"
)

// traced is the life of a token as the audit log has it: kinds and verdicts.
func (a audited) traced(token string) []string {
	a.t.Helper()
	credential, err := audittrail.ParseCredential(token)
	if err != nil {
		a.t.Fatal(err)
	}
	logs, err := audittrail.Open([]string{a.log}, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	defer logs.Close()
	var life []string
	_, err = audittrail.Trace(a.t.Context(), logs, &audittrail.Selection{Credential: credential}, func(e *audittrail.Entry) error {
		life = append(life, strings.TrimSpace(fmt.Sprint(e.Kind, " ", e.Verdict)))
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return life
}

// TestTraceTellsRevoked revokes tokens in each way, and follows them through the audit log.
func TestTraceTellsRevoked(t *testing.T) {
	t.Parallel()
	a := startAudited(t, "--controllers=")
	admin := a.Caller(a.AdminConfig())
	const revocations = "/apis/mintmark.io/v1alpha1/tokenrevocations"
	for name, revoke := range map[string]func(token string) (restored bool){
		"by id": func(token string) bool {
			admin.Run(
				testserver.Step{Request: "POST " + revocations, Body: "metadata: {name: by-id}\nspec: {credentialID: " + member(t, token, 1, "jti") + "}", Status: 201},
				testserver.Step{Request: "DELETE " + revocations + "/by-id", Status: 200},
			)
			return true
		},
		"by token": func(token string) bool {
			entry, status := admin.Do("POST "+revocations, "spec: {token: "+token+"}")
			if status != http.StatusCreated {
				t.Fatal(status, entry)
			}
			name := entry.(map[string]any)["metadata"].(map[string]any)["name"].(string)
			admin.Run(testserver.Step{Request: "DELETE " + revocations + "/" + name, Status: 200})
			return true
		},
		"by key": func(token string) bool {
			admin.Run(
				testserver.Step{Request: "POST " + revocations, Body: "metadata: {name: by-key}\nspec: {keyID: " + member(t, token, 0, "kid") + "}", Status: 201},
				testserver.Step{Request: "DELETE " + revocations + "/by-key", Status: 200},
			)
			return true
		},
		"by account": func(string) bool {
			admin.Run(testserver.Step{Request: "POST " + revocations, Body: "spec: {serviceAccount: {namespace: default, name: by-account}}", Status: 201})
			return false
		},
		"by its holder": func(token string) bool {
			client, err := rest.HTTPClientFor(a.TokenConfig(""))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.PostForm(a.URL+"/oauth/revoke", url.Values{"token": {token}})
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close() // it is empty
			if response.StatusCode != http.StatusOK {
				t.Fatal(response.Status)
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			account := strings.ReplaceAll(name, " ", "-")
			admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts", Body: "metadata: {name: " + account + "}", Status: 201})
			issued, err := a.Admin().CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			token := issued.Status.Token
			a.post(a.AdminConfig(), reviewsPath, reviewOf(token), account+"-before")
			restored := revoke(token)
			a.post(a.AdminConfig(), reviewsPath, reviewOf(token), account+"-after")
			want := []string{"Requested", "Reviewed Authenticated", "Revoked", "Reviewed Refused"}
			if restored {
				want = []string{"Requested", "Reviewed Authenticated", "Revoked", "Restored", "Reviewed Authenticated"}
			}
			if diff := cmp.Diff(want, a.traced(token)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
