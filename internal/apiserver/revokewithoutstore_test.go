package apiserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestRevokeWithoutStore: a revocation that the store does not take is never told as done, at either of the two paths, and can
// be made when the store is back.
func TestRevokeWithoutStore(t *testing.T) {
	t.Parallel()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	line := newCable(t, member.Endpoint())
	server := testserver.Start(t, "--etcd-servers="+line.Endpoint, "--request-timeout=2s")
	server.Caller(server.AdminConfig()).Run(testserver.Step{
		Request: "POST /api/v1/namespaces/default/serviceaccounts", Body: "{metadata: {name: app}}", Status: http.StatusCreated,
	})
	token := issue(t, server.Admin(), "app", nil)
	post := func(token, path, kind, body string) int {
		client, err := rest.HTTPClientFor(server.TokenConfig(token))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Post(server.URL+path, kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	paths := map[string]func() int{
		"/oauth/revoke": func() int {
			return post("", "/oauth/revoke", "application/x-www-form-urlencoded", url.Values{"token": {token}}.Encode())
		},
		"tokenrevocations": func() int {
			return post(token, "/apis/mintmark.io/v1alpha1/tokenrevocations", "application/json",
				`{"apiVersion":"mintmark.io/v1alpha1","kind":"TokenRevocation","spec":{"token":"`+token+`"}}`)
		},
	}
	line.freeze(true)
	for path, revoke := range paths {
		if status := revoke(); status < http.StatusInternalServerError {
			t.Errorf("%s: status %d while the store hangs, want an error of the server", path, status)
		}
	}
	line.freeze(false)
	for {
		switch status := paths["/oauth/revoke"](); {
		case status == http.StatusServiceUnavailable && t.Context().Err() == nil:
			continue // the views are not proved yet
		case status != http.StatusOK:
			t.Fatalf("status %d when the store is back", status)
		}
		break
	}
	if status := post(token, "/apis/authentication.k8s.io/v1/selfsubjectreviews", "application/json", "{}"); status != http.StatusUnauthorized {
		t.Errorf("status %d for a caller with the revoked token, want 401", status)
	}
}
