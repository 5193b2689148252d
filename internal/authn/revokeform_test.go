package authn_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

// waitFor waits for what takes its time, on a machine with much else to do.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatal(err)
	}
}

// revoke posts a form to /oauth/revoke, with a bearer token if there is one.
func (h house) revoke(bearer string, form url.Values) (status int, body string) {
	h.t.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if bearer != "" {
		header.Set("Authorization", "Bearer "+bearer)
	}
	return h.post("/oauth/revoke", form.Encode(), header)
}

func (h house) post(path, content string, header http.Header) (status int, body string) {
	h.t.Helper()
	client, err := rest.HTTPClientFor(h.TokenConfig(""))
	if err != nil {
		h.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.URL+path, strings.NewReader(content))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestRevocationEndpoint: POST /oauth/revoke answers as RFC 7009 has it.
func TestRevocationEndpoint(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, vault := h.account("app", ""), h.account("vault", "audiences: [vault]")
	form := func(of url.Values) string { return of.Encode() }
	const kind = "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		path, content, kind, authorization string
		status                             int
		says                               string
	}{
		"a token of nobody":            {content: "token=(nobody)", status: 200},
		"with a hint":                  {content: "token=(nobody)&token_type_hint=refresh_token&client_id=app", status: 200},
		"a credential of the server":   {content: "token=(nobody)", authorization: "Bearer static-token", status: 200},
		"no token":                     {content: "token_type_hint=access_token", status: 400, says: "invalid_request"},
		"an empty token":               {content: "token=", status: 400, says: "invalid_request"},
		"two tokens":                   {content: form(url.Values{"token": {"a", "b"}}), status: 400, says: "invalid_request"},
		"no form":                      {content: `{"token": "a"}`, kind: "application/json", status: 400, says: "invalid_request"},
		"a broken form":                {content: "token=%zz", status: 400, says: "invalid_request"},
		"in the address":               {path: "?token=a", status: 400, says: "invalid_request"},
		"too long":                     {content: "token=" + strings.Repeat("a", 1<<20), status: 400, says: "invalid_request"},
		"a wrong credential":           {content: "token=" + token, authorization: "Bearer " + tampered(token), status: 401, says: "invalid_client"},
		"a password":                   {content: "token=" + token, authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte("a:b")), status: 401, says: "invalid_client"},
		"a secret of a client":         {content: "token=" + token + "&client_id=a&client_secret=b", status: 401, says: "invalid_client"},
		"a token with a bad signature": {content: "token=" + tampered(token), status: 200},
	} {
		header := http.Header{"Content-Type": {kind}}
		if test.kind != "" {
			header.Set("Content-Type", test.kind)
		}
		if test.authorization != "" {
			header.Set("Authorization", test.authorization)
		}
		status, body := h.post("/oauth/revoke"+test.path, test.content, header)
		if status != test.status || !strings.Contains(body, test.says) || test.status == 200 && body != "" {
			t.Errorf("%s: %d %s, want %d %s", name, status, body, test.status, test.says)
		}
	}
	if accepted, reason := reviewDoors["review"](h, token); !accepted {
		t.Fatalf("refused before it was revoked: %s", reason)
	}
	// The answer may be lost, so a client may ask again, also with the credential that it has just taken back.
	for range 2 {
		if status, body := h.revoke(token, url.Values{"token": {token}}); status != 200 || body != "" {
			t.Errorf("revoked by its holder: %d %s", status, body)
		}
	}
	if status, body := h.revoke("", url.Values{"token": {vault}}); status != 200 || body != "" {
		t.Errorf("a token for another audience: %d %s", status, body)
	}
	list, _ := h.admin.Do("GET "+revocations, "")
	var makers []string
	for _, item := range list.(map[string]any)["items"].([]any) {
		makers = append(makers, item.(map[string]any)["status"].(map[string]any)["revokedBy"].(string))
	}
	slices.Sort(makers)
	if want := []string{"system:serviceaccount:default:app", "system:serviceaccount:default:vault"}; !slices.Equal(makers, want) {
		t.Errorf("revocations by %q, want %q", makers, want)
	}
	for _, gone := range []string{token, vault} {
		answer, _ := h.admin.Do("POST "+reviews, `{spec: {token: "`+gone+`", audiences: [api, vault]}}`)
		if status := answer.(map[string]any)["status"].(map[string]any); status["error"] != "[invalid bearer token, service account token has been invalidated]" {
			t.Errorf("after it was revoked: %v", status)
		}
	}
}

// TestRevocationWithoutVerdict: where nobody can tell whose a token is, /oauth/revoke does not say that it was revoked. An
// administrator revokes it all the same.
func TestRevocationWithoutVerdict(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "--authentication-token-webhook-config-file="+writeFile(t, "gone.kubeconfig", kubeconfig("https://127.0.0.1:1")))
	for name, bearer := range map[string]string{"the token alone": "", "a credential of the server": "static-token"} {
		if status, body := h.revoke(bearer, url.Values{"token": {"opaque-token"}}); status != 503 || !strings.Contains(body, "temporarily_unavailable") {
			t.Errorf("%s: %d %s, want 503", name, status, body)
		}
	}
	h.admin.Run(testserver.Step{Request: "POST " + revocations, Body: "{spec: {token: opaque-token}}", Status: http.StatusCreated})
}
