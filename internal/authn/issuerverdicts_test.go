package authn

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/reason"
)

// TestIssuersDecideAlone: a token that names a configured issuer is decided by that issuer's keys and rules. A webhook that
// would say yes is not asked, whatever the reason of the refusal.
func TestIssuersDecideAlone(t *testing.T) {
	p, down := newProvider(t), newProvider(t)
	down.handler = http.NotFound
	known, err := newIssuers(IssuersConfig{Configuration: mustParse(t, configuration(`  claimValidationRules:
  - {expression: "!has(claims.suspended)", message: "the account is suspended"}
`+bySubject, p, down))})
	if err != nil {
		t.Fatal(err)
	}
	defer known.Close()
	waitUntil(t, "discovery", func() bool { return known.current.Load().byIssuer[p.URL].healthCheck() == nil })
	forged := p.token(nil)
	symmetric := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + forged[strings.Index(forged, "."):]
	for name, test := range map[string]struct {
		token    string
		audience string
		reason   string
		code     reason.Code
	}{
		"suspended":            {token: p.token(map[string]any{"suspended": true}), reason: "the account is suspended", code: reason.IssuerRefused},
		"expired":              {token: p.token(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), reason: "token is expired", code: reason.Expired},
		"not valid yet":        {token: p.token(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), reason: "before the nbf", code: reason.NotYetValid},
		"for another client":   {token: p.token(map[string]any{"aud": "other"}), reason: "expected audience", code: reason.AudienceMismatch},
		"a bad signature":      {token: forged[:len(forged)-8] + "AAAAAAAA", reason: "failed to verify", code: reason.BadSignature},
		"no subject":           {token: p.token(map[string]any{"sub": 1}), reason: "failed to unmarshal claims", code: reason.BadClaims},
		"an unreachable one's": {token: down.token(nil), reason: "oidc: authenticator not initialized", code: reason.IssuerUnavailable},
		"by another algorithm": {token: symmetric, reason: "unsupported algorithm", code: reason.AlgorithmNotAllowed},
		"for others":           {token: p.token(nil), audience: "vault", reason: reason.InvalidText, code: reason.AudienceMismatch},
		"bad, and for others":  {token: forged[:len(forged)-8] + "AAAAAAAA", audience: "vault", reason: reason.InvalidText, code: reason.AudienceMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			remote := &counted{say: sayUser}
			api := authenticator.Audiences{"api"}
			all := chain{here: []authenticator.Token{unaware{audiences: api, tokens: known, knows: known.knows}}, remote: remote}
			ctx := authenticator.WithAudiences(t.Context(), authenticator.Audiences{"api"})
			if test.audience != "" {
				ctx = authenticator.WithAudiences(t.Context(), authenticator.Audiences{test.audience})
			}
			_, ok, err := all.AuthenticateToken(ctx, test.token)
			if ok || err == nil || !strings.Contains(err.Error(), test.reason) || reason.Of(err) != test.code {
				t.Errorf("%v %v (%s), want %s (%s)", ok, err, reason.Of(err), test.reason, test.code)
			}
			if remote.calls.Load() > 0 {
				t.Error("the webhook was asked")
			}
		})
	}
}

// TestIssuersGiveNames: a claim that is empty or white space names no user, with and without a prefix in front.
func TestIssuersGiveNames(t *testing.T) {
	for mapping, prefix := range map[string]string{
		`{claim: sub, prefix: ""}`:                        "",
		`{claim: sub, prefix: "p:"}`:                      "p:",
		`{claim: sub, prefix: "https://i.example#"}`:      "https://i.example#",
		`{expression: "claims.sub"}`:                      "",
		`{expression: "has(claims.x) ? '' : claims.sub"}`: "",
	} {
		t.Run(mapping, func(t *testing.T) {
			p := newProvider(t)
			known, _ := withFile(t, configuration("  claimMappings: {username: "+mapping+"}\n", p))
			for _, sub := range []any{nil, "", " ", "\t\n", "\u00a0\u2003"} {
				got := name(t, known, p.token(map[string]any{"sub": sub}))
				if got != "error: "+errNameless.Error() && !strings.HasPrefix(got, "error: oidc: e") {
					t.Errorf("%v: %s", sub, got)
				}
			}
			for _, sub := range []string{"ann", " ann", "-", prefix + "x"} {
				if got := name(t, known, p.token(map[string]any{"sub": sub})); got != prefix+sub {
					t.Errorf("%q: %s", sub, got)
				}
			}
		})
	}
}
