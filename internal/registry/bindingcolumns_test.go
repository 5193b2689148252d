package registry_test

import (
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

// The two kinds of bindings can refer to different roles, which the descriptions of the columns say.
func TestBindingColumns(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	admin := server.Caller(server.AdminConfig())
	const group = "GET /apis/rbac.authorization.k8s.io/v1/"
	asTable := []string{"Accept: application/json;as=Table;g=meta.k8s.io;v=v1"}
	const unresolved = " in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error."
	admin.Run(
		testserver.Step{Request: group + "clusterrolebindings", Headers: asTable, Status: 200, Want: `
columnDefinitions:
- {name: Name}
- {name: Role, description: "RoleRef can only reference a ClusterRole` + unresolved + `"}
- {name: Age}
- {name: Users, description: Users in the clusterRoleBinding, priority: 1}
- {name: Groups, description: Groups in the clusterRoleBinding, priority: 1}
- {name: ServiceAccounts, description: ServiceAccounts in the clusterRoleBinding, priority: 1}
`},
		testserver.Step{Request: group + "namespaces/default/rolebindings", Headers: asTable, Status: 200, Want: `
columnDefinitions:
- {name: Name}
- {name: Role, description: "RoleRef can reference a Role in the current namespace or a ClusterRole` + unresolved + `"}
- {name: Age}
- {name: Users, description: Users in the roleBinding}
- {name: Groups, description: Groups in the roleBinding}
- {name: ServiceAccounts, description: ServiceAccounts in the roleBinding}
`},
	)
}
