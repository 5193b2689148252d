package apiserver_test

import (
	"testing"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestNodesWithoutFlags asks a server without flags what nodes need: bootstrap tokens are accepted, a node reads its own pods only
// (the node authorizer), and gets tokens for its own pods only (NodeRestriction).
func TestNodesWithoutFlags(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	admin := server.Caller(server.AdminConfig())
	admin.Run(
		testserver.Step{Request: "POST /api/v1/namespaces/kube-system/secrets", Status: 201, Body: `
metadata: {name: bootstrap-token-abcdef}
type: bootstrap.kubernetes.io/token
stringData: {token-id: abcdef, token-secret: 0123456789abcdef, usage-bootstrap-authentication: "true"}`},
		testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts", Body: "metadata: {name: app}", Status: 201},
		testserver.Step{Request: "POST /api/v1/namespaces/default/pods", Body: nodePod("mine", "vm1"), Status: 201},
		testserver.Step{Request: "POST /api/v1/namespaces/default/pods", Body: nodePod("theirs", "vm2"), Status: 201},
	)
	server.Caller(server.TokenConfig("abcdef.0123456789abcdef")).Run(testserver.Step{
		Request: "POST /apis/authentication.k8s.io/v1/selfsubjectreviews", Body: "{}", Status: 201,
		Want: "{status: {userInfo: {username: system:bootstrap:abcdef}}}",
	})
	config := server.AdminConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:vm1", Groups: []string{"system:nodes"}}
	server.Caller(config).Run(
		testserver.Step{Request: "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dvm1", Status: 200},
		testserver.Step{Request: "GET /api/v1/namespaces/default/pods/theirs", Status: 403, Want: `
message: "pods \"theirs\" is forbidden: User \"system:node:vm1\" cannot get resource \"pods\" in API group \"\"
  in the namespace \"default\": no relationship found between node 'vm1' and this object"`},
		testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts/app/token", Body: "spec: {audiences: [vault]}", Status: 403, Want: `
message: "serviceaccounts \"app\" is forbidden: node requested token not bound to a pod"`},
	)
}

// nodePod is a pod of the account app on a node, with a token for Vault in a volume.
func nodePod(name, node string) string {
	return `
metadata: {name: ` + name + `}
spec:
  nodeName: ` + node + `
  serviceAccountName: app
  containers: [{name: main, image: none}]
  volumes: [{name: token, projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}}]`
}
