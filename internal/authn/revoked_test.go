package authn_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/testserver"
)

const revocations = "/apis/mintmark.io/v1alpha1/tokenrevocations"

// door is a place where a token can be shown. It reports whether the token is accepted, and the reason if it says one.
type door func(h house, token string) (accepted bool, reason string)

// reviewAt shows a token in a review.
func reviewAt(path, version string) door {
	return func(h house, token string) (bool, string) {
		answer, status := h.admin.Do("POST "+path, `{apiVersion: authentication.k8s.io/`+version+`, kind: TokenReview, spec: {token: "`+token+`"}}`)
		if status/100 != 2 {
			return false, fmt.Sprint(status)
		}
		review := answer.(map[string]any)["status"].(map[string]any)
		accepted, _ := review["authenticated"].(bool)
		reason, _ := review["error"].(string)
		return accepted, reason
	}
}

// callerAt shows a token as the credential of a request.
func callerAt(request, body string) door {
	return func(h house, token string) (bool, string) {
		_, status := h.Caller(h.TokenConfig(token)).Do(request, body)
		return status != http.StatusUnauthorized, fmt.Sprint(status)
	}
}

const reviews, openShiftReviews = "/apis/authentication.k8s.io/v1/tokenreviews", "/apis/oauth.openshift.io/v1/tokenreviews"

var (
	// reviewDoors are all places for reviews that know tokens of every kind: the fast path and the generic chain.
	reviewDoors = map[string]door{
		"review":                reviewAt(reviews, "v1"),
		"review, generic chain": reviewAt(reviews+"?fieldValidation=Strict", "v1"),
		"/authenticate":         reviewAt("/authenticate", "v1"),
		"/authenticate, older":  reviewAt("/authenticate", "v1beta1"),
	}
	openShiftDoors = map[string]door{
		"OpenShift's review":                reviewAt(openShiftReviews, "v1"),
		"OpenShift's review, generic chain": reviewAt(openShiftReviews+"?fieldValidation=Strict", "v1"),
	}
	callerDoors = map[string]door{
		"caller":                            callerAt("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", "{}"),
		"caller of a review":                callerAt("POST "+reviews, "{spec: {token: x}}"),
		"caller of a TokenRequest":          callerAt("POST /api/v1/namespaces/default/serviceaccounts/app/token", "{spec: {}}"),
		"caller of /authenticate":           callerAt("POST /authenticate", `{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: "x"}}`),
		"caller of OpenShift's review":      callerAt("POST "+openShiftReviews, "{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: x}}"),
		"caller of a revocation":            callerAt("POST "+revocations, "{spec: {}}"),
		"caller of something else entirely": callerAt("GET /api/v1/namespaces", ""),
	}
)

// kinds are two tokens of every kind that this server accepts.
func (h house) kinds(provider authn.Provider) map[string][2]string {
	h.t.Helper()
	h.admin.Run(testserver.Step{Request: "POST /apis/oauth.openshift.io/v1/oauthclients", Status: http.StatusCreated, Body: `
{metadata: {name: demo}, grantMethod: auto, redirectURIs: [https://demo.example/cb]}`})
	ada, _ := h.admin.Do("POST /apis/user.openshift.io/v1/users", "{metadata: {name: ada}}")
	uid := ada.(map[string]any)["metadata"].(map[string]any)["uid"].(string)
	return map[string][2]string{
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
			h := newHouse(t, "--authentication-config="+writeFile(t, "authentication.yaml", provider.Configuration()),
				"--token-auth-file="+writeFile(t, "tokens.csv", "static-token,ann,ann-uid\nstatic-token-2,bob,bob-uid\n"))
			kinds := h.kinds(provider)
			waitFor(t, func() bool { ok, _ := reviewDoors["review"](h, kinds["OpenID Connect, with an id"][0]); return ok })
			checked := 0
			for kind, tokens := range kinds {
				doors := maps.Clone(callerDoors)
				maps.Copy(doors, reviewDoors)
				if kind == "opaque" {
					maps.Copy(doors, openShiftDoors)
				}
				for name, open := range doors {
					if accepted, reason := open(h, tokens[0]); !accepted {
						t.Errorf("%s, %s: refused before it was taken back: %s", kind, name, reason)
					}
				}
				revoke(h, tokens[0])
				for name, open := range doors {
					want := "invalid bearer token"
					switch {
					case openShiftDoors[name] != nil:
						want = oauth.LookupText
					case callerDoors[name] != nil:
						want = "401"
					case kind == "bound", kind == "legacy":
						want = "[invalid bearer token, service account token has been invalidated]"
					}
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
