package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// A signer that is not there: the check that says so is named, and the exit code is 1. What the checks find is tested in
// externalsignertest, and script/external-signer runs the command against a server.
func TestConformanceWithoutSigner(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	got := mintmark(t, "", "conformance", "external-signer", "unix://"+socket)
	got.want(t, 1, "FAILED   socket/connects", "")
	got.want(t, 1, "0 passed, 1 failed, ", "")
	mintmark(t, "", "conformance", "external-signer").want(t, 2, "", "name one socket")
	mintmark(t, "", "conformance", "external-signers").want(t, 2, "", "mintmark conformance external-signer")
}

// A webhook that answers 403 for no: the report names the check, what went wrong and what to do, as text and as JSON.
func TestConformanceOfWebhook(t *testing.T) {
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	t.Cleanup(webhook.Close)
	got := mintmark(t, "", "conformance", "webhook", webhook.URL, "--version", "v1")
	got.want(t, 1, "FAILED   v1/refused/status-code  ", "")
	got.want(t, 1, "the answer about an unknown token has the status code 403", "")
	got.want(t, 1, "Answer 200 or 201 with status.authenticated false.", "")
	got = mintmark(t, "some-token\n", "conformance", "webhook", webhook.URL, "--good-token", "-", "-o", "json")
	got.want(t, 1, `"name": "v1beta1/accepted/status-code"`, "")
	var report struct{ Failed, Passed, Skipped int }
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || report.Failed != 8 || strings.Contains(got.out, "some-token") {
		t.Errorf("%v %+v", err, report)
	}
	for args, want := range map[string]string{
		"": "name the URL", "x": "name a URL", "https://x --kubeconfig f": "name the URL", "--kubeconfig f --ca-file f": "the kubeconfig has the certificates",
		"https://x --client-cert f": "belong together", "https://x --version v2": "--version must be", "--kubeconfig /none": "cannot use the kubeconfig",
	} {
		mintmark(t, "", append([]string{"conformance", "webhook"}, strings.Fields(args)...)...).want(t, 2, "", want)
	}
}
