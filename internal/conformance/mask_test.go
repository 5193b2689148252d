package conformance

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

const testClaims = `{"jti":"b4a1","sub":"x"}`

func testToken(claims string) string {
	return encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("a signature that must not be seen"))
}

func TestMask(t *testing.T) {
	m := newMask("admin-secret", "")
	m.add("abcdef.0123456789abcdef")
	token, nameless := testToken(testClaims), testToken(`{"sub":"x"}`)
	for in, want := range map[string]string{
		"Bearer " + token + " is bad":             "Bearer <token JTI=b4a1> is bad",
		"Bearer " + nameless:                      "Bearer " + credentialID(nameless),
		token[:40] + "…":                          credentialID(token[:40]) + "…",
		"admin-secret, abcdef.0123456789abcdef?":  credentialID("admin-secret") + ", " + credentialID("abcdef.0123456789abcdef") + "?",
		"sha256~mFcD0lmfHqpc7VwXJ0JdB2Jzqw1lPxyZ": credentialID("sha256~mFcD0lmfHqpc7VwXJ0JdB2Jzqw1lPxyZ"),
		`{"token":"` + base64.StdEncoding.EncodeToString([]byte(token)) + `"}`: `{"token":"` +
			credentialID(base64.StdEncoding.EncodeToString([]byte(token))) + `"}`,
		"an ordinary message": "an ordinary message",
	} {
		if got := m.text(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// Whatever a server does with tokens, they don't reach the report.
func TestReportsHoldNoToken(t *testing.T) {
	token := testToken(testClaims)
	secrets := []string{token[strings.LastIndex(token, ".")+1:], "admin-secret", "alice-secret"}
	leaky := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Warning", `299 - "`+token+`"`)
		w.Header().Set("Location", r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, 200, map[string]any{
			"status": map[string]any{"token": token},
			"long":   strings.Repeat("x", 230) + token,
			"same":   strings.Repeat("y", 60) + token,
			"text":   "who is " + token + "?",
			"base64": base64.StdEncoding.EncodeToString([]byte(token)),
			token:    1,
			"said":   r.Header.Get("Authorization"),
			"list":   []string{token, token},
		})
	}
	want := `"compare":["Location"],"want":{"status":200,"body":{"same":"` + strings.Repeat("y", 60) + token[:60] + `","list":[1]}}`
	failures := playAgainst(t, leaky, `[
		{"method":"GET","path":"/","capture":{"token":"/status/token"},`+want+`},
		{"method":"GET","path":"/?t={{token}}","as":"{{token}}",`+want+`},
		{"method":"GET","path":"/{{token}}","as":"alice","headers":{"X":"{{token}}"},"body":{"spec":{"token":"{{token}}"}},`+want+`},
		{"method":"GET","path":"/?t={{token}}","match":"status","want":{"status":201}},
		{"method":"GET","path":"/%zz{{token}}","want":{"status":201}},
		{"forge":{"from":"{{token}}.","sign":"keep","into":"x"}}]`)
	if len(failures) != 6 {
		t.Errorf("%d failures", len(failures))
	}
	for _, f := range failures {
		for _, secret := range append(secrets, encode([]byte(testClaims))) {
			if strings.Contains(f.String(), secret) {
				t.Errorf("%s is in the report: %s", secret, f)
			}
		}
	}
}
