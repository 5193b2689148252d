package certificates_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/testserver"
)

// A certificate is counted once, when it is stored, if a duration was asked for.
func TestDurationMetrics(t *testing.T) {
	running := testserver.Start(t, "--controllers=")
	admin := running.Caller(running.AdminConfig())
	request := signed(t, newKey(t))
	const client = "kubernetes.io/kube-apiserver-client"
	before := durations(t, running)
	for i, test := range []struct {
		signer, wish, options string
		validity              time.Duration
	}{
		{client, ", expirationSeconds: 3600", "", time.Hour},
		{client, ", expirationSeconds: 3600", "", time.Hour + 5*time.Minute},
		{client, ", expirationSeconds: 3600", "", 2 * time.Hour},
		{client, ", expirationSeconds: 3600", "?dryRun=All", time.Hour},
		{client, "", "", time.Hour},
		{"kubernetes.io/made-up", ", expirationSeconds: 3600", "", time.Hour},
		{"example.com/people", ", expirationSeconds: 3600", "", 10 * time.Minute},
	} {
		name := fmt.Sprintf("r%d", i)
		certificate := fmt.Sprintf(`{"status":{"certificate":%q}}`, issued(t, test.validity))
		again := testserver.Step{Request: "PATCH " + requests + "/" + name + "/status" + test.options, Headers: []string{merged}, Body: certificate, Status: 200}
		admin.Run(testserver.Step{Request: "POST " + requests, Body: bodyFor(test.signer, name, request, test.wish), Status: 201}, again, again)
	}
	after := durations(t, running)
	for series, want := range map[string]int{
		`requested_duration_total{signerName="` + client + `"}`: 3,
		`honored_duration_total{signerName="` + client + `"}`:   2,
		`requested_duration_total{signerName="other"}`:          2,
		`honored_duration_total{signerName="other"}`:            1,
	} {
		if got := after[series] - before[series]; got != want {
			t.Errorf("%s grew by %d, want %d", series, got, want)
		}
	}
	for series := range after {
		if strings.Contains(series, "made-up") {
			t.Errorf("a caller chose the label of %s", series)
		}
	}
}

// durations reads the two metrics.
func durations(t *testing.T, server *testserver.Server) map[string]int {
	t.Helper()
	text, err := server.Admin().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]int{}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "apiserver_certificates_registry_csr_")
		if !ok {
			continue
		}
		series, value, _ := strings.Cut(rest, " ")
		var n int
		if _, err := fmt.Sscan(value, &n); err != nil {
			t.Fatal(err)
		}
		values[series] = n
	}
	return values
}
