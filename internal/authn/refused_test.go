package authn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	issuer      = "https://issuer.example"
	apiAudience = "api"
)

// yesWebhook is a token webhook that knows everybody as mallory, for all audiences.
type yesWebhook struct {
	mu    sync.Mutex
	asked []string // tokens
}

func (w *yesWebhook) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	var review authenticationv1.TokenReview
	if err := json.NewDecoder(request.Body).Decode(&review); err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	w.asked = append(w.asked, review.Spec.Token)
	w.mu.Unlock()
	review.Status = authenticationv1.TokenReviewStatus{
		Authenticated: true, User: authenticationv1.UserInfo{Username: "mallory"}, Audiences: review.Spec.Audiences,
	}
	response.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(response).Encode(review) // the caller hung up
}

func (w *yesWebhook) knows(token string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.asked, token)
}

// house is a server that knows tokens of every kind, with a webhook behind it.
type house struct {
	*testserver.Server
	t       *testing.T
	admin   testserver.Caller
	key     *ecdsa.PrivateKey
	webhook *yesWebhook
	// callers are those with a token, by the token.
	callers map[string]testserver.Caller
}

func newHouse(t *testing.T, flags ...string) house {
	t.Helper()
	h := house{t: t, webhook: &yesWebhook{}, callers: map[string]testserver.Caller{}}
	var err error
	if h.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	key, err := keyutil.MarshalPrivateKeyToPEM(h.key)
	if err != nil {
		t.Fatal(err)
	}
	remote := httptest.NewTLSServer(h.webhook)
	t.Cleanup(remote.Close)
	file := func(name, text string) string { return writeFile(t, name, text) }
	h.Server = testserver.Start(t, append([]string{
		"--controllers=", "--service-account-issuer=" + issuer, "--api-audiences=" + apiAudience,
		"--service-account-signing-key-file=" + file("sa.key", string(key)),
		"--enable-bootstrap-token-auth", "--openshift-api",
		"--token-auth-file=" + file("tokens.csv", "static-token,ann,ann-uid\n"),
		"--authentication-token-webhook-version=v1",
		"--authentication-token-webhook-config-file=" + file("webhook.kubeconfig", kubeconfig(remote.URL)),
	}, flags...)...)
	h.admin = h.Caller(h.AdminConfig())
	return h
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func kubeconfig(server string) string {
	return `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],
clusters: [{name: c, cluster: {server: "` + server + `", insecure-skip-tls-verify: true}}]}`
}

// account makes a service account and returns its token; fields are further ones of the request.
func (h house) account(name, fields string) string {
	h.t.Helper()
	accounts := "POST /api/v1/namespaces/default/serviceaccounts"
	h.admin.Run(testserver.Step{Request: accounts, Body: "{metadata: {name: " + name + "}}", Status: http.StatusCreated})
	answer, status := h.admin.Do(accounts+"/"+name+"/token", "{spec: {"+fields+"}}")
	if status != http.StatusCreated {
		h.t.Fatal(status)
	}
	return answer.(map[string]any)["status"].(map[string]any)["token"].(string)
}

// signed returns a token with the claims of the issuer, signed with the server's key.
func (h house) signed(claims map[string]any) string {
	h.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: h.key}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// bootstrap makes the secret of a bootstrap token and returns the token; data are further members of the secret.
func (h house) bootstrap(id, data string) string {
	h.t.Helper()
	h.admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/kube-system/secrets", Status: http.StatusCreated, Body: `
{metadata: {name: bootstrap-token-` + id + `}, type: bootstrap.kubernetes.io/token,
 stringData: {token-id: ` + id + `, token-secret: 0123456789abcdef` + data + `}}`})
	return id + ".0123456789abcdef"
}

// opaque makes an access token of the user ada, with further fields of its object.
func (h house) opaque(fields string) string {
	h.t.Helper()
	token := oauth.NewToken()
	name, _ := oauth.ObjectName(token)
	h.admin.Run(testserver.Step{Request: "POST /apis/oauth.openshift.io/v1/oauthaccesstokens", Status: http.StatusCreated, Body: `
{metadata: {name: ` + name + `}, clientName: demo, expiresIn: 86400, scopes: ["user:full"], redirectURI: https://demo.example/cb,
 userName: ada, ` + fields + `}`})
	return token
}

// review returns the user and the error of a review.
func (h house) review(path, token, audience string) (name, reason string) {
	h.t.Helper()
	answer, status := h.admin.Do("POST "+path, `{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: "`+token+`", audiences: [`+audience+`]}}`)
	if status/100 != 2 {
		h.t.Fatalf("%s: %d", path, status)
	}
	review := answer.(map[string]any)["status"].(map[string]any)
	reason, _ = review["error"].(string)
	if good, _ := review["authenticated"].(bool); good {
		who, _ := review["user"].(map[string]any)
		name, _ = who["username"].(string)
	}
	return name, reason
}

// TestRefusedTokensGoNowhere: a token that this server knows and refuses is refused for good. Nobody else is sent it, and
// a webhook that would say yes doesn't count. Tokens that nobody here knows are the webhook's to decide.
func TestRefusedTokensGoNowhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.admin.Run(
		testserver.Step{Request: "POST /apis/oauth.openshift.io/v1/oauthclients", Status: http.StatusCreated, Body: `
{metadata: {name: demo}, grantMethod: auto, redirectURIs: [https://demo.example/cb]}`},
		testserver.Step{Request: "POST /apis/user.openshift.io/v1/users", Status: http.StatusCreated, Body: "{metadata: {name: ada}}"},
	)
	now := time.Now().Unix()
	gone, good := h.account("gone", ""), h.account("app", "")
	deleted := testserver.Step{Request: "DELETE /api/v1/namespaces/default/serviceaccounts/gone", Status: http.StatusOK}
	h.admin.Run(deleted)
	claims := func(more map[string]any) string {
		all := map[string]any{
			"iss": issuer, "aud": apiAudience, "sub": "system:serviceaccount:default:app", "exp": now + 600,
			"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": "app", "uid": "another"}},
		}
		for name, value := range more {
			if all[name] = value; value == nil {
				delete(all, name)
			}
		}
		return h.signed(all)
	}
	const invalid = "invalid bearer token"
	for name, test := range map[string]struct {
		token, audience string
		reason          string // empty if the webhook is asked
	}{
		"an account that is gone":            {token: gone, reason: `[invalid bearer token, serviceaccounts "gone" not found]`},
		"an account, for another audience":   {token: good, audience: "vault", reason: `[invalid bearer token, token audiences ["api"] is invalid for the target audiences ["vault"]]`},
		"an account that was made anew":      {token: claims(nil), reason: `[invalid bearer token, service account UID (`},
		"expired":                            {token: claims(map[string]any{"exp": now - 600}), reason: "[invalid bearer token, service account token has expired]"},
		"not valid yet":                      {token: claims(map[string]any{"nbf": now + 600}), reason: "[invalid bearer token, service account token is not valid yet]"},
		"issued in the future":               {token: claims(map[string]any{"iat": now + 600}), reason: "[invalid bearer token, service account token is issued in the future]"},
		"claims that can't be read":          {token: claims(map[string]any{"kubernetes.io": 1}), reason: "[invalid bearer token, "},
		"a bad signature":                    {token: tampered(good), reason: "[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]"},
		"of a secret that isn't there":       {token: claims(legacyClaims()), reason: "[invalid bearer token, Token has been invalidated]"},
		"static, for another audience":       {token: "static-token", audience: "vault", reason: invalid},
		"bootstrap, expired":                 {token: h.bootstrap("aaaaaa", `, expiration: "2020-01-01T00:00:00Z", usage-bootstrap-authentication: "true"`), reason: invalid},
		"bootstrap, for something else":      {token: h.bootstrap("bbbbbb", `, usage-bootstrap-signing: "true"`), reason: invalid},
		"bootstrap, with bad groups":         {token: h.bootstrap("cccccc", `, usage-bootstrap-authentication: "true", auth-extra-groups: "system:masters"`), reason: invalid},
		"bootstrap, for another audience":    {token: h.bootstrap("dddddd", `, usage-bootstrap-authentication: "true"`), audience: "vault", reason: invalid},
		"opaque, of a user who is gone":      {token: h.opaque("userUID: u1"), reason: "[invalid bearer token, user.UID ("},
		"opaque, for another audience":       {token: h.opaque("userUID: u1"), audience: "vault", reason: invalid},
		"unknown":                            {token: "unknown-to-this-server"},
		"unknown, for another audience":      {token: "unknown-to-this-server-too", audience: "vault"},
		"another issuer's":                   {token: claims(map[string]any{"iss": "https://another.example"})},
		"bootstrap, whose secret is unknown": {token: "eeeeee.0123456789abcdef"},
		"bootstrap, with another secret":     {token: "aaaaaa.fedcba9876543210"},
		"opaque, and unknown":                {token: oauth.NewToken()},
	} {
		for _, path := range []string{"/apis/authentication.k8s.io/v1/tokenreviews", "/authenticate"} {
			user, reason := h.review(path, test.token, test.audience)
			switch {
			case test.reason == "" && (user != "mallory" || !h.webhook.knows(test.token)):
				t.Errorf("%s, %s: user %q, error %q: the webhook should decide", path, name, user, reason)
			case test.reason != "" && (user != "" || !strings.HasPrefix(reason, test.reason)):
				t.Errorf("%s, %s: user %q, error %q; want %q", path, name, user, reason, test.reason)
			case test.reason != "" && h.webhook.knows(test.token):
				t.Errorf("%s, %s: the webhook was sent the token", path, name)
			}
		}
		want := http.StatusUnauthorized
		if test.reason == "" || test.audience != "" {
			want = http.StatusCreated
		}
		_, status := h.Caller(h.TokenConfig(test.token)).Do("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", "{}")
		if test.audience == "" && status != want {
			t.Errorf("%s, as caller: status %d, want %d", name, status, want)
		}
	}
}

// legacyClaims are those of a token in a secret that doesn't exist. It names no audience and no end.
func legacyClaims() map[string]any {
	const prefix = "kubernetes.io/serviceaccount/"
	return map[string]any{
		"iss": "kubernetes/serviceaccount", "aud": nil, "exp": nil, prefix + "namespace": "default", prefix + "secret.name": "none",
		prefix + "service-account.name": "app", prefix + "service-account.uid": "another",
	}
}

// tampered returns a token with another signature.
func tampered(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	other := "A"
	if strings.HasPrefix(token[at:], other) {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}
