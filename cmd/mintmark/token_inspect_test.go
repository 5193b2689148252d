package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestInspectText(t *testing.T) {
	// In the bubble it is 2000-01-01T00:00:00Z.
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		token := makeJWT(`{"alg":"ES256","kid":"k1"}`, fmt.Sprintf(
			`{"aud":["api"],"exp":%d,"iat":%d,"nbf":%d,"kubernetes.io":{"namespace":"prod","pod":{"name":"web-0"},"node":{"name":"n1"},"warnafter":%d},"sub":"system:serviceaccount:prod:app"}`,
			now+59*60, now-60, now-60, now+3607))
		got := mintmark(t, token+"\n", "token", "inspect", "-")
		got.want(t, 0, "HEADER", "")
		got.keeps(t, token, signature, strings.Split(token, ".")[1])
		want := `This says it is a Kubernetes service account token, bound to the pod "web-0".
The signature was NOT checked: anyone could have written this token. To have a server check it, use 'mintmark token review'.

expires in 59m (2000-01-01T00:59:00Z)
issued 60s ago (1999-12-31T23:59:00Z)
valid since 60s ago (1999-12-31T23:59:00Z)
to be replaced in 60m (2000-01-01T01:00:07Z)

HEADER
{
  "alg": "ES256",
  "kid": "k1"
}

CLAIMS
{
  "aud": [
    "api"
  ],
  "exp": 946688340,
  "iat": 946684740,
  "nbf": 946684740,
  "kubernetes.io": {
    "namespace": "prod",
    "pod": {
      "name": "web-0"
    },
    "node": {
      "name": "n1"
    },
    "warnafter": 946688407
  },
  "sub": "system:serviceaccount:prod:app"
}
`
		if diff := cmp.Diff(want, got.out); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestInspectWords(t *testing.T) {
	for claims, want := range map[string][]string{
		`{"exp":946674000}`:   {"expired 3h ago (1999-12-31T21:00:00Z)"},
		`{"exp":946695600.9}`: {"expires in 3h (2000-01-01T03:00:00Z)"},
		`{"EXP":1}`:           {"never expires by itself: there is no exp"},
		`{"exp":null}`:        {"never expires by itself"},
		`{"exp":"tomorrow","iat":1e300,"nbf":1e20}`:                 {"the claim exp is not a time", "the claim iat is not a time", "the claim nbf is not a time"},
		`{"iat":946684920,"nbf":946684920}`:                         {"says it will be issued in 2m (", "not valid yet, but in 2m ("},
		`{"kubernetes.io":{"warnafter":946684500}}`:                 {"to be replaced since 5m ago"},
		`{"kubernetes.io":"odd","sub":"a"}`:                         {"This is a JWT, and not a Kubernetes service account token."},
		`{"iss":"kubernetes/serviceaccount"}`:                       {"a legacy service account token"},
		`{"kubernetes.io":{"namespace":"a"}}`:                       {"bound to nothing but its service account."},
		`{"kubernetes.io":{"namespace":"a","secret":{"name":"s"}}}`: {`bound to the secret "s".`},
		`{"kubernetes.io":{"namespace":"a","node":{"name":"n"}}}`:   {`bound to the node "n".`},
		"{\"sub\":\"\u009b2J\u202e\U000e0001\"}":                    {`"sub": "\u009b2J\u202e\udb40\udc01"`},
	} {
		t.Run(claims, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := mintmark(t, "", "token", "inspect", makeJWT(`{"alg":"none"}`, claims))
				for _, line := range want {
					got.want(t, 0, line, "")
				}
			})
		})
	}
}

func TestInspectJSON(t *testing.T) {
	token := makeJWT(`{"alg":"RS256"}`, `{"exp":12345678901234567890,"b":1,"a":2}`)
	got := mintmark(t, token, "token", "inspect", "-", "-o", "json")
	got.want(t, 0, `12345678901234567890`, "The signature was NOT checked")
	got.keeps(t, token, signature)
	var object struct{ Header, Claims map[string]any }
	if err := json.Unmarshal([]byte(got.out), &object); err != nil || object.Header["alg"] != "RS256" || object.Claims["a"] != 2.0 {
		t.Errorf("%v, printed\n%s", err, got.out)
	}
	if strings.Index(got.out, `"b"`) > strings.Index(got.out, `"a"`) {
		t.Error("the claims are not in the order in which they were written")
	}
}

func TestInspectOther(t *testing.T) {
	for token, want := range map[string]string{
		"sha256~q7Lw0vYtXnC3fKjR8sDmHbZ2pEuG5aTi1oVxWyNcQdM": "an OpenShift OAuth access token. It is opaque",
		"abcdef.0123456789abcdef":                            "the Secret bootstrap-token-abcdef in the namespace kube-system",
		"c29tZXRoaW5nLW9wYXF1ZQ":                             "an opaque token, with nothing in it to show; only the server that issued it can say whose it is: use 'mintmark token review -'",
		"aaaaaa.bbbbbb.cccccc.dddddd.eeeeee":                 "an encrypted JWT (JWE)",
		"!!!!!!.e30." + signature:                            "its header is not in base64url: is the token whole?",
		"e30.bnVsbA." + signature:                            "its claims part is not a JSON object",
		"MTIz.e30." + signature:                              "its header is not a JSON object",
		"e30.e30 ." + signature:                              "white space inside the token",
		`{"kind": "TokenRequest"}`:                           "it is .status.token",
		"-----BEGIN PRIVATE KEY-----\nMIGH":                  "a key or a certificate (PEM)",
	} {
		t.Run(token, func(t *testing.T) {
			got := mintmark(t, token+"\r\n", "token", "inspect", "-")
			got.want(t, 1, "", want)
			got.keeps(t, token, signature, "0123456789abcdef", "q7Lw0vYtXnC3f", "MIGH")
		})
	}
	mintmark(t, strings.Repeat("a", maxTokenBytes+1), "token", "inspect", "-").want(t, 1, "", "so it isn't a token")
	mintmark(t, "", "token", "inspect", "-").want(t, 2, "", "the token is empty")
	mintmark(t, "", "token", "inspect", "a", "-o", "yaml").want(t, 2, "", "must be json")
}

// Whatever is on standard input, inspect ends with a known code and prints only what a
// terminal shows.
func FuzzInspect(f *testing.F) {
	f.Add(makeJWT(`{"alg":"none"}`, `{"exp":1,"kubernetes.io":{"namespace":"a","pod":null}}`))
	f.Add(makeJWT(`{}`, `{"iat":-1e400,"a":"\u001b"}`))
	f.Add("abcdef.0123456789abcdef")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		got := mintmark(t, token, "token", "inspect", "-")
		if got.code < exitOK || got.code > exitUsage || (got.out != "") != (got.code == exitOK) {
			t.Errorf("exit code %d, printed %q", got.code, got.out)
		}
		for _, r := range got.out + got.err {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("printed %q", r)
			}
		}
	})
}
