package fastpath_test

import (
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestNothingIsManaged asks over both transports: answers that are not kept say nothing of who manages their fields.
func TestNothingIsManaged(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin := server.Caller(server.AdminConfig())
	admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts", Body: "metadata: {name: app}", Status: 201, Want: "metadata: {name: app}"})
	for _, header := range shapes {
		admin.Run(
			testserver.Step{Request: "POST " + requestPath, Headers: []string{header}, Body: tokenBody, Status: 201, Want: "{kind: TokenRequest, metadata: {name: app, managedFields: null}}"},
			testserver.Step{Request: "POST " + reviewsPath, Headers: []string{header}, Body: reviewOf("x"), Status: 201, Want: "{kind: TokenReview, metadata: {managedFields: null}}"},
		)
	}
}
