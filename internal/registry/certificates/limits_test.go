package certificates_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

// An answer about an object with very many mistakes names the first hundred, through whichever path the object comes. All of them
// would make the answer to a body of three megabytes several hundred megabytes long.
func TestManyMistakes(t *testing.T) {
	admin := newServer(t)
	good := signed(t, newKey(t))
	admin.Run(testserver.Step{Request: "POST " + requests, Body: body("stored", good), Status: 201})
	const many = 20_000
	list := func(format string) string {
		var b strings.Builder
		for i := range many {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, test := range []struct{ request, body, first string }{
		{"POST " + requests, strings.Replace(body("a", good), "[client auth]", "["+list("u%d, ")+"]", 1), `spec.usages[0]: Unsupported value: "u0"`},
		{"POST " + requests, strings.Replace(body("b", good), "[client auth]", "["+strings.Repeat("any, ", many)+"]", 1), `spec.usages[1]: Duplicate value: "any"`},
		{"PUT " + requests + "/stored/approval", "metadata: {name: stored}\nstatus: {conditions: [" + list("{type: t%d}, ") + "]}", "status.conditions[0].status: Required value"},
		{"PUT " + requests + "/stored/status", "metadata: {name: stored}\nstatus: {conditions: [" + list("{type: t%d}, ") + "]}", "status.conditions[0].status: Required value"},
		{"POST " + requests, "metadata: {name: c, labels: {" + list("a b%d: x, ") + "}}\nspec: {}", "metadata.labels: Invalid value"},
		{"POST /api/v1/namespaces/default/serviceaccounts", "metadata: {name: d, finalizers: [" + list("f%d, ") + "]}", "metadata.finalizers[0]: Invalid value"},
	} {
		answer, status := admin.Do(test.request, test.body)
		refusal := answer.(map[string]any)
		details, _ := refusal["details"].(map[string]any)
		causes, _ := details["causes"].([]any)
		message, _ := refusal["message"].(string)
		if status != 422 || len(causes) != 100 || !strings.Contains(message, test.first) {
			t.Errorf("%s: %d with %d causes: %.200s", test.request, status, len(causes), message)
		}
	}
}

// The store takes no object of more than one and a half megabytes, and the server no body of more than three.
func TestLargeRequests(t *testing.T) {
	admin := newServer(t)
	good := signed(t, newKey(t))
	for size, status := range map[int]int{1_000_000: 201, 1_600_000: 500, 3_000_000: 413} {
		padded := append(good[:len(good):len(good)], strings.Repeat("x", size)...)
		answer, got := admin.Do("POST "+requests, body(fmt.Sprintf("large-%d", size), padded))
		if got != status {
			t.Errorf("%d bytes: %d, want %d: %.300v", size, got, status, answer)
		}
	}
}
