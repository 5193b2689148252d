package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadKeySet: keys are read from a file or over HTTPS, and nowhere else, whatever a server says.
func TestReadKeySet(t *testing.T) {
	const keys = `{"keys":[]}`
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keys)) }))
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys":
			_, _ = w.Write([]byte(keys))
		case "/moved":
			http.Redirect(w, r, "/keys", http.StatusFound)
		case "/plain":
			http.Redirect(w, r, plain.URL, http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(secure.Close)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{
		file: "", secure.URL + "/keys": "", strings.ToUpper("https") + strings.TrimPrefix(secure.URL, "https") + "/keys": "", secure.URL + "/moved": "",
		plain.URL: "could put in other keys", "HTTP" + strings.TrimPrefix(plain.URL, "http"): "could put in other keys",
		secure.URL + "/plain": "could put in other keys", secure.URL + "/round": "without an end",
		secure.URL + "/none": "404", file + "x": "no such file",
	} {
		flags := offlineFlags{keySet: from, transport: secure.Client().Transport}
		got, err := flags.readKeySet(t.Context())
		switch {
		case want == "" && (err != nil || string(got) != keys):
			t.Errorf("%s: %q, %v", from, got, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %q, %v, want an error with %q", from, got, err, want)
		}
	}
	// A server whose authority the system does not know.
	if _, err := (&offlineFlags{keySet: secure.URL + "/keys"}).readKeySet(t.Context()); err == nil || !strings.Contains(err.Error(), "curl --cacert") {
		t.Error(err)
	}
}
