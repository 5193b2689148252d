package apiserver_test

import (
	"fmt"
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestHeldObjectsKeepTheirTokens: an object that a finalizer holds has been deleted, as the API says, and is still there.
// For a minute its tokens are good, and new ones are issued for it, as with a kube-apiserver. When the finalizer is gone, so
// are the tokens. TestConfirmDeletionGrace of internal/boundobject shows the minute.
func TestHeldObjectsKeepTheirTokens(t *testing.T) {
	t.Parallel()
	s := testserver.Start(t, "--controllers=")
	admin := s.Caller(s.AdminConfig())
	const account = "/api/v1/namespaces/default/serviceaccounts/app"
	for _, test := range []struct{ kind, path, spec, want string }{
		{"Pod", "/api/v1/namespaces/default/pods", "spec: {serviceAccountName: app, containers: [{name: main, image: none}]}", "service account token has been invalidated"},
		{"Secret", "/api/v1/namespaces/default/secrets", "type: Opaque", "service account token has been invalidated"},
		{"Node", "/api/v1/nodes", "spec: {}", "service account token has been invalidated"},
		{"", account, "", `serviceaccounts "app" not found`},
	} {
		t.Run(test.kind, func(t *testing.T) {
			object, bound := account, "{spec: {}}"
			if test.kind == "" {
				admin.Run(testserver.Step{Request: "DELETE " + account, Status: 200})
			}
			create := testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts", Status: 201, Body: "metadata: {name: app, finalizers: [example.com/hold]}"}
			if test.kind != "" {
				_, _ = admin.Do(create.Request, "metadata: {name: app}")
				object = test.path + "/held"
				bound = fmt.Sprintf("{spec: {boundObjectRef: {kind: %s, apiVersion: v1, name: held}}}", test.kind)
				create.Request, create.Body = "POST "+test.path, "{metadata: {name: held, finalizers: [example.com/hold]}, "+test.spec+"}"
			}
			admin.Run(create)
			issue := func() string {
				t.Helper()
				answer, status := admin.Do("POST "+account+"/token", bound)
				if status != 201 {
					t.Fatalf("no token: status %d", status)
				}
				token, _ := answer.(map[string]any)["status"].(map[string]any)["token"].(string)
				return token
			}
			review := func(token, want string) {
				t.Helper()
				admin.Run(testserver.Step{Request: coreReviews, Body: "{spec: {token: " + token + "}}", Status: 201, Want: want})
			}
			before := issue()
			admin.Run(testserver.Step{Request: "DELETE " + object, Body: "{kind: DeleteOptions, apiVersion: v1, gracePeriodSeconds: 0}", Status: 200})
			after := issue()
			for _, token := range []string{before, after} {
				review(token, "status: {authenticated: true}")
			}
			admin.Run(testserver.Step{
				Request: "PATCH " + object, Headers: []string{"Content-Type: application/merge-patch+json"},
				Body: "{metadata: {finalizers: null}}", Status: 200,
			})
			for _, token := range []string{before, after} {
				review(token, fmt.Sprintf("status: {authenticated: null, error: '[invalid bearer token, %s]'}", test.want))
			}
		})
	}
}
