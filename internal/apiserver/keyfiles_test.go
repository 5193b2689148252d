package apiserver_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestKeyFilesAreReadAgain changes the key files of a running server: for others, and for what is no key.
func TestKeyFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	signing, accepted := filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.pub")
	texts := make([]string, 2)
	for i, file := range []string{signing, accepted} {
		testserver.WriteSigningKey(t, file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(accepted, texts[0])
	s := testserver.Start(t, "--controllers=", "--service-account-signing-key-file="+signing, "--service-account-key-file="+accepted)
	published := func() int {
		status, answer := ask(t, s, signingkey.KeySetPath)
		var set struct{ Keys []any }
		if err := json.Unmarshal([]byte(answer), &set); err != nil {
			t.Fatalf("status %d, %v", status, err)
		}
		return len(set.Keys)
	}
	if n := published(); n != 1 {
		t.Fatalf("%d keys are published", n)
	}
	write(accepted, texts[0]+texts[1])
	eventually(t, "the new key is published", func() bool { return published() == 2 })

	write(accepted, texts[1])
	details := func() string {
		_, answer := ask(t, s, "/readyz?verbose")
		return answer
	}
	const failing = "[!]the files of signing keys can't be used as they are"
	eventually(t, "the contradiction is told", func() bool { return strings.Contains(details(), failing) })
	if status, answer := ask(t, s, "/readyz"); status != 200 || published() != 2 {
		t.Errorf("/readyz is %d: %s", status, answer)
	}
	write(signing, texts[1])
	eventually(t, "the other key signs", func() bool { return published() == 1 && !strings.Contains(details(), failing) })

	s.Caller(s.AdminConfig()).Run(
		testserver.Step{Request: "GET /apis/mintmark.io/v1alpha1/signingkeys", Status: 200, Want: "items: []"},
		testserver.Step{
			Request: "POST /apis/mintmark.io/v1alpha1/signingkeys", Body: "spec: {algorithm: ES256}", Status: 409,
			Want: "reason: Conflict",
		},
	)
}
