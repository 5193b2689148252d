package conformance

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestVariables(t *testing.T) {
	s := newSession(&Target{AdminToken: "admin-secret"})
	s.vars["one"], s.vars["two"] = "q7Lw0vYtXnC3f", "KjR8sDmHbZ2pEuG5aTi1oVxWyNcQdM"
	for text, want := range map[string]string{
		"a {{one}}{{one}}":          "a q7Lw0vYtXnC3fq7Lw0vYtXnC3f",
		"{{admin_token}}":           "admin-secret",
		"{{b64:one}}":               base64.StdEncoding.EncodeToString([]byte("q7Lw0vYtXnC3f")),
		"{{repeat:ab:3}}":           "ababab",
		"sha256~{{sha256:one+two}}": "sha256~AFhhyqsKYX1bVcYEqg48793GbeevxzId6nng-h7SnN8",
	} {
		if got, err := s.expand(text); err != nil || got != want {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
	}
	if long, err := s.expand("{{sha512:'a+'+one+'b'}}"); err != nil || len(long) != 86 {
		t.Errorf("got %s, %v", long, err)
	}
	soon, err := s.expand("{{time:+3600}}")
	if at, bad := time.Parse(time.RFC3339, soon); err != nil || bad != nil || time.Until(at).Round(time.Minute) != time.Hour {
		t.Errorf("got %s, %v, %v", soon, err, bad)
	}
	for _, bad := range []string{"{{three}}", "{{b64:three}}", "{{sha256:three}}", "{{sha256:one two}}", "{{sha256:'a}}", "{{sha256:}}", "{{time:x}}", "{{repeat:a}}"} {
		if got, err := s.expand(bad); err == nil {
			t.Errorf("%s: got %s", bad, got)
		}
	}
}

// What was put into a request is shown as the variable it came from.
func TestVariablesComeBack(t *testing.T) {
	s := newSession(&Target{AdminToken: "admin-secret"})
	const all = "{{ns}} {{id6}} {{b64:id16}} {{sha256:id16+'x'}} {{admin_token}}"
	text, err := s.expand(all)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "{{") {
		t.Errorf("not filled in: %s", text)
	}
	if got := s.norm.text(text); got != all {
		t.Errorf("shown as %s", got)
	}
}
