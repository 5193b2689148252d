package conformance

import (
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The issuer publishes the keys that forged tokens are signed with.
func TestIssuer(t *testing.T) {
	folder := t.TempDir()
	writeKey(t, folder, "a", newKey(t, elliptic.P256()))
	writeKey(t, folder, "b", newKey(t, elliptic.P384()))
	p, err := readPeer(folder, strings.Fields("serve-oidc -listen 127.0.0.1:1 -issuer https://issuer.test/x -discovery /elsewhere -key a.key,b.key"))
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string, into any) {
		t.Helper()
		w := httptest.NewRecorder()
		p.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatal(path, w.Code, err)
		}
	}
	var document map[string]any
	if get("/elsewhere", &document); document["issuer"] != "https://issuer.test/x" || document["jwks_uri"] != "https://127.0.0.1:1/keys" {
		t.Error(document)
	}
	var set jose.JSONWebKeySet
	get("/keys", &set)
	s := newSession(&Target{Files: folder})
	for name, algorithm := range map[string]jose.SignatureAlgorithm{"a": jose.ES256, "b": jose.ES384} {
		token, err := s.forge(&Forge{Sign: signKey, Key: name})
		if err != nil {
			t.Fatal(err)
		}
		header, _, err := decodeJWT(token)
		if err != nil {
			t.Fatal(err)
		}
		keys := set.Key(plainText(header["kid"]))
		if len(keys) != 1 || keys[0].Algorithm != string(algorithm) || !verifies(token, algorithm, keys[0].Key) {
			t.Errorf("%s is published as %v", name, keys)
		}
	}
}

func TestWebhook(t *testing.T) {
	folder := t.TempDir()
	table := `{"ann":{"status":{"authenticated":true}},"bad":{"code":500,"text":"no"},"old":{"apiVersion":"v0"},"echo":{"echo":true}}`
	if err := os.WriteFile(filepath.Join(folder, "t.json"), []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := readPeer(folder, strings.Fields("serve-webhook -listen 127.0.0.1:1 -table t.json"))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(body string) string {
		w := httptest.NewRecorder()
		p.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/p", strings.NewReader(body)))
		return toJSON(w.Code) + " " + strings.TrimSpace(w.Body.String())
	}
	for token, want := range map[string]string{
		"ann":  `200 {"apiVersion":"v1","kind":"TokenReview","status":{"authenticated":true}}`,
		"bad":  `500 no`,
		"old":  `200 {"apiVersion":"v0","kind":"TokenReview","status":{}}`,
		"else": `200 {"apiVersion":"v1","kind":"TokenReview","status":{}}`,
		"echo": `200 {"apiVersion":"v1","kind":"TokenReview","status":{"audiences":["x"],"authenticated":true,"user":{"extra":{"apiVersion":["v1"],` +
			`"authorization":null,"content-type":null,"kind":["TokenReview"],"method":["POST"],"path":["/p"],` +
			`"spec":["{\"audiences\":[\"x\"],\"token\":\"echo\"}"],"status":["null"]},"username":"echo"}}}`,
	} {
		body := `{"kind":"TokenReview","apiVersion":"v1","spec":{"token":"` + token + `","audiences":["x"]}}`
		if got := ask(body); got != want {
			t.Errorf("%s: got  %s\nwant %s", token, got, want)
		}
	}
	for _, bad := range []string{`{"kind":"Pod"}`, `[]`, `{`} {
		if got := ask(bad); !strings.HasPrefix(got, "400 ") {
			t.Errorf("%s: got %s", bad, got)
		}
	}
}

func TestMistakesInPeers(t *testing.T) {
	for _, line := range []string{"", "serve-ldap -listen x", "serve-oidc -listen x -key none.key", "serve-webhook -table none.json", "serve-oidc -port 1"} {
		if _, err := readPeer(t.TempDir(), strings.Fields(line)); err == nil {
			t.Errorf("%q was accepted", line)
		}
	}
}

// Each variant's peers can be started, and stopped again; a port that somebody else has is told from other errors.
func TestStartPeers(t *testing.T) {
	for _, v := range loadVariants(t) {
		peers, err := readPeers(v.Folder)
		if err != nil {
			t.Error(err)
		}
		for _, p := range peers {
			taken, err := net.Listen("tcp", p.address)
			if err != nil {
				t.Skipf("%s: %v", v.Name, err)
			}
			if _, err := v.StartPeers(); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%s: %v", v.Name, err)
			}
			_ = taken.Close()
		}
		stop, err := v.StartPeers()
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		for _, p := range peers {
			checkPeer(t, v, p.address)
		}
		stop()
	}
}

// checkPeer makes sure that a peer serves TLS with a certificate that the variant's ca.crt signed.
func checkPeer(t *testing.T, v *Variant, address string) {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(v.Folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := (&Target{RootCAs: ca}).client("")
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + address + "/keys")
	if err != nil {
		t.Errorf("%s: %v", v.Name, err)
		return
	}
	_ = resp.Body.Close()
}
