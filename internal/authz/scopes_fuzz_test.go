package authz_test

import (
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/authz"
)

// A scope of a role that is understood is understood completely: it can be written again from what was read.
func FuzzRoleScopes(f *testing.F) {
	for _, seed := range []string{"role:view:*", "role:system:x:ns:!", "role:!:!", "role::", "role:a:", "role:a:b:!:!", "user:full"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, scope string) {
		parsed, err := authz.ParseRoleScope(scope)
		if err != nil {
			return
		}
		written := authz.ScopeRolePrefix + parsed.Role + ":" + parsed.Namespace
		if parsed.Escalating {
			written += ":!"
		}
		if written != scope {
			t.Errorf("%q is written %q", scope, written)
		}
		if parsed.Role == "" || parsed.Namespace == "" || strings.Contains(parsed.Namespace, ":") {
			t.Errorf("%q is read as role %q in namespace %q", scope, parsed.Role, parsed.Namespace)
		}
	})
}
