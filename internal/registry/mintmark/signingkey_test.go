package mintmark_test

import (
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

const signingKeys = "/apis/mintmark.io/v1alpha1/signingkeys"

// The group is found as others are, and is shown in tables.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	server.Caller(server.AdminConfig()).Run(
		testserver.Step{Request: "GET /apis/mintmark.io", Status: 200, Want: `{name: mintmark.io, preferredVersion: {groupVersion: mintmark.io/v1alpha1}}`},
		testserver.Step{Request: "GET " + signingKeys, Status: 200, Want: `{kind: SigningKeyList, apiVersion: mintmark.io/v1alpha1}`},
		// A client that prefers protobuf gets JSON.
		testserver.Step{
			Request: "GET " + signingKeys, Headers: []string{"Accept: application/vnd.kubernetes.protobuf,application/json"},
			Status: 200, Want: `{kind: SigningKeyList}`,
		},
		testserver.Step{Request: "GET " + signingKeys + "/none", Status: 404, Want: `message: 'signingkeys.mintmark.io "none" not found'`},
		testserver.Step{
			Request: "GET " + signingKeys, Headers: []string{"Accept: application/json;as=Table;v=v1;g=meta.k8s.io"}, Status: 200,
			Want: `{kind: Table, columnDefinitions: [{name: Name}, {name: State}, {name: Algorithm}, {name: Key-ID}, {name: Signs-Since},
				{name: Tokens-Until}, {name: Age}, {name: Published, priority: 1}, {name: Hidden, priority: 1}]}`,
		},
	)
	outsider := server.Caller(server.TokenConfig(""))
	outsider.Run(testserver.Step{Request: "GET " + signingKeys, Status: 403})
}
