package authn_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/testserver"
)

const revocations = "/apis/mintmark.io/v1alpha1/tokenrevocations"

// kinds are two tokens of every kind that this server accepts.
func (h house) kinds(provider authn.Provider) map[string][2]string {
	h.t.Helper()
	h.admin.Run(testserver.Step{Request: "POST /apis/oauth.openshift.io/v1/oauthclients", Status: http.StatusCreated, Body: `
{metadata: {name: demo}, grantMethod: auto, redirectURIs: [https://demo.example/cb]}`})
	ada, _ := h.admin.Do("POST /apis/user.openshift.io/v1/users", "{metadata: {name: ada}}")
	uid := ada.(map[string]any)["metadata"].(map[string]any)["uid"].(string)
	foreign := h.trust(provider)
	return map[string][2]string{
		"trusted cluster":             {foreign("east", "one"), foreign("east", "two")},
		"trusted cluster, live check": {foreign("live", "one"), foreign("live", "two")},
		"trusted, with an id":         {foreign("mapped", "one"), foreign("mapped", "two")},
		"trusted, without one":        {foreign("mapped", "", "n", 1), foreign("mapped", "", "n", 2)},
		"bound":                       {h.account("app", ""), h.account("app2", "")},
		"legacy":                      {h.legacy("old"), h.legacy("old2")},
		"static":                      {"static-token", "static-token-2"},
		"bootstrap":                   {h.bootstrap("aaaaaa", `, usage-bootstrap-authentication: "true"`), h.bootstrap("bbbbbb", `, usage-bootstrap-authentication: "true"`)},
		"OpenID Connect, with an id":  {provider.Token(map[string]any{"jti": "one"}), provider.Token(map[string]any{"jti": "two"})},
		"OpenID Connect, without one": {provider.Token(map[string]any{"n": 1}), provider.Token(map[string]any{"n": 2})},
		"opaque":                      {h.opaque("userUID: " + uid), h.opaque("userUID: " + uid)},
		"webhook":                     {"known-elsewhere", "known-elsewhere-2"},
		"webhook, a JWT":              {h.signed(map[string]any{"iss": "https://another.example", "jti": "one"}), h.signed(map[string]any{"iss": "https://another.example", "jti": "two"})},
		"webhook, a JWT without id":   {h.signed(map[string]any{"iss": "https://another.example", "n": 1}), h.signed(map[string]any{"iss": "https://another.example", "n": 2})},
	}
}

// trust makes TrustedIssuers, and returns what makes tokens of them by the name of the issuer and the id of the token.
func (h house) trust(provider authn.Provider) func(issuer, id string, more ...any) string {
	h.t.Helper()
	const account, uid = "system:serviceaccount:default:app", "u1"
	cluster := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		_ = json.NewDecoder(r.Body).Decode(&review) // else it is refused
		review.Status = authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: review.Spec.Audiences, User: authenticationv1.UserInfo{Username: account, UID: uid},
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review) // the caller hung up
	}))
	h.t.Cleanup(cluster.Close)
	authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cluster.Certificate().Raw}))
	access := `{apiVersion: v1, kind: Config, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: "` + cluster.URL + `", certificate-authority-data: ` + authority + `}}], users: [{name: u, user: {token: x}}]}`
	h.admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/kube-system/secrets", Status: http.StatusCreated, Body: `
{metadata: {name: live}, data: {kubeconfig: ` + base64.StdEncoding.EncodeToString([]byte(access)) + `}}`})
	for name, rules := range map[string]string{
		"east":   "kubernetes: {prefix: 'east:'}",
		"live":   "kubernetes: {prefix: 'live:'}, liveCheck: {kubeconfigSecret: {namespace: kube-system, name: live}}",
		"mapped": "claimMappings: {username: {claim: sub, prefix: 'm:'}}",
	} {
		h.admin.Run(testserver.Step{Request: "POST " + ownGroup + "/trustedissuers", Status: http.StatusCreated, Body: fmt.Sprintf(
			"{metadata: {name: %s}, spec: {url: 'https://%s.example', jwks: %q, audiences: [%s], %s}}", name, name, provider.JWKS(), apiAudience, rules)})
	}
	return func(issuer, id string, more ...any) string {
		claims := map[string]any{
			"iss": "https://" + issuer + ".example", "aud": apiAudience, "sub": account, "iat": time.Now().Unix() - 60,
			"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": "app", "uid": uid}},
		}
		if id != "" {
			claims["jti"] = id
		}
		for i := 0; i < len(more); i += 2 {
			claims[more[i].(string)] = more[i+1]
		}
		return provider.Token(claims)
	}
}

// legacy makes an account and a secret with a token of it.
func (h house) legacy(name string) string {
	h.t.Helper()
	h.account(name, "")
	account, _ := h.admin.Do("GET /api/v1/namespaces/default/serviceaccounts/"+name, "")
	const prefix = "kubernetes.io/serviceaccount/"
	claims := legacyClaims()
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	maps.Copy(claims, map[string]any{
		"sub": "system:serviceaccount:default:" + name, prefix + "secret.name": name, prefix + "service-account.name": name,
		prefix + "service-account.uid": account.(map[string]any)["metadata"].(map[string]any)["uid"],
	})
	token := h.signed(claims)
	h.admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/default/secrets", Status: http.StatusCreated, Body: `
{metadata: {name: ` + name + `, annotations: {kubernetes.io/service-account.name: ` + name + `}}, type: kubernetes.io/service-account-token,
 data: {token: ` + base64.StdEncoding.EncodeToString([]byte(token)) + `}}`})
	return token
}

// ways are the ways in which a token can be taken back by its text.
var ways = []func(house, string){
	func(h house, token string) { // by an administrator
		h.admin.Run(testserver.Step{Request: "POST " + revocations, Status: http.StatusCreated, Body: `{spec: {token: "` + token + `", reason: found in a log}}`, Want: `{spec: {token: null}}`})
	},
	func(h house, token string) { // RFC 7009, by the token alone
		if status, body := h.revoke(h.TokenConfig("").BearerToken, url.Values{"token": {token}}); status != http.StatusOK {
			h.t.Errorf("/oauth/revoke: %d %s", status, body)
		}
	},
	func(h house, token string) { // by its holder
		h.Caller(h.TokenConfig(token)).Run(testserver.Step{Request: "POST " + revocations, Status: http.StatusCreated, Body: `{spec: {token: "` + token + `"}}`})
	},
}

// TestRevokedEverywhere takes back a token of each kind and shows it at every door: before, and after. Its sibling stays good.
func TestRevokedEverywhere(t *testing.T) {
	t.Parallel()
	for i, revoke := range ways {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			provider := authn.NewProvider(t)
			h := newHouse(t, "--authentication-config="+writeFile(t, "authentication.yaml", provider.Configuration()), "--allow-private-issuers=127.0.0.0/8",
				"--token-auth-file="+writeFile(t, "tokens.csv", "static-token,ann,ann-uid\nstatic-token-2,bob,bob-uid\n"))
			kinds := h.kinds(provider)
			waitFor(t, func() bool { ok, _ := reviewDoors["review"](h, kinds["OpenID Connect, with an id"][0]); return ok })
			checked := 0
			for kind, tokens := range kinds {
				for name, open := range doors(kind, i == 0) {
					if accepted, reason := open(h, tokens[0]); !accepted {
						t.Errorf("%s, %s: refused before it was taken back: %s", kind, name, reason)
					}
				}
				revoke(h, tokens[0])
				for name, open := range doors(kind, i == 0) {
					want := refusalAt(name, kind)
					if accepted, reason := open(h, tokens[0]); accepted || reason != want {
						t.Errorf("%s, %s: accepted: %t, error %q, want %q", kind, name, accepted, reason, want)
					}
					if accepted, reason := open(h, tokens[1]); !accepted {
						t.Errorf("%s, %s: the other token is refused: %s", kind, name, reason)
					}
					checked++
				}
			}
			t.Logf("%d kinds, %d pairs of kind and door", len(kinds), checked)
		})
	}
}

// TestSecondSpelling: what was taken back has no other spelling that is accepted.
func TestSecondSpelling(t *testing.T) {
	t.Parallel()
	provider := authn.NewProvider(t)
	h := newHouse(t, "--authentication-config="+writeFile(t, "authentication.yaml", provider.Configuration()))
	token := ""
	for n := 0; !strings.HasSuffix(strings.Split(token+"..", ".")[1], "Q"); n++ { // the payload has spare bits
		token = provider.Token(map[string]any{"n": strings.Repeat("x", n)})
	}
	show := reviewDoors["review"]
	waitFor(t, func() bool { ok, _ := show(h, token); return ok })
	parts := strings.Split(token, ".")
	spellings := map[string]string{
		"other spare bits in the payload":   parts[0] + "." + strings.TrimSuffix(parts[1], "Q") + "R." + parts[2],
		"other spare bits in the signature": token[:len(token)-1] + string(token[len(token)-1]+1),
		"a tab in the middle":               parts[0] + "." + parts[1] + `.\t` + parts[2],
		"JSON serialization":                `{\"protected\":\"` + parts[0] + `\",\"payload\":\"` + parts[1] + `\",\"signature\":\"` + parts[2] + `\",\"x\":\".` + parts[1] + `.\"}`,
	}
	ways[0](h, token)
	for name, spelling := range spellings {
		if accepted, _ := show(h, spelling); accepted {
			t.Errorf("%s: accepted", name)
		}
	}
}
