package core_test

import (
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

// newServer starts a server without controllers, makes namespaces in it, and returns its administrator.
func newServer(t *testing.T, namespaces ...string) testserver.Caller {
	t.Helper()
	t.Parallel()
	running := testserver.Start(t, "--controllers=")
	s := running.Caller(running.AdminConfig())
	for _, name := range namespaces {
		s.Run(testserver.Step{Request: "POST /api/v1/namespaces", Body: `metadata: {name: ` + name + `}`, Status: 201})
	}
	return s
}
