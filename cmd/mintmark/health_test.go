package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestHealth: the exit code and the error say what a server answers.
func TestHealth(t *testing.T) {
	answers := map[string]string{"/livez": "[+]ping ok\nlivez check passed\n"}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, verbose := r.URL.Query()["verbose"]; !verbose {
			t.Errorf("%s: the answer doesn't list the checks", r.URL)
		}
		answer := answers[r.URL.Path]
		if !strings.HasSuffix(answer, "passed\n") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	writeFile(t, kubeconfig, "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u}]\n"+
		"clusters: [{name: c, cluster: {insecure-skip-tls-verify: true, server: \""+server.URL+"\"}}]\n")
	for _, test := range []struct {
		readyz string
		flags  []string
		code   int
		want   string
	}{
		{readyz: "[+]ping ok\nreadyz check passed\n", want: server.URL + " is ready\n"},
		{readyz: "[+]ping ok\n[-]etcd failed: reason withheld\n[-]live-index failed: reason withheld\nreadyz check failed\n", code: exitFailed, want: "error: " + server.URL + " is not ready: etcd, live-index\n"},
		{readyz: "something else\n", code: exitFailed, want: "error: " + server.URL + " is not ready: it names no check that fails\n"},
		{readyz: "[-]etcd failed\n", flags: []string{"--live"}, want: server.URL + " is live\n"},
	} {
		answers["/readyz"] = test.readyz
		var out strings.Builder
		code := run(t.Context(), append([]string{"health", "--kubeconfig", kubeconfig}, test.flags...), streams{in: strings.NewReader(""), out: &out, err: &out})
		if code != test.code || out.String() != test.want {
			t.Errorf("%q %v: exit code %d, %q", test.readyz, test.flags, code, out.String())
		}
	}
}
