package oauth

import (
	"slices"
	"strings"
	"sync"
)

// ScopesKey is the key of the token's scopes in the user's extra. Authorization must look at them: without them a limited
// token would be a full one.
const ScopesKey = "scopes.authorization.openshift.io"

// maxScopes bounds how many lists of scopes are shared. Of all the tokens of a cluster most have one of a handful.
const maxScopes = 1000

// scopes shares one extra among all tokens with the same scopes.
type scopes struct {
	mu     sync.Mutex
	shared map[string]map[string][]string
}

func newScopes() scopes { return scopes{shared: map[string]map[string][]string{}} }

// extra returns a user's extra, which must not be changed.
func (s *scopes) extra(list []string) map[string][]string {
	// Validation allows no control character in a scope, but a stored object may be older than that.
	if slices.ContainsFunc(list, func(scope string) bool { return strings.Contains(scope, "\n") }) || list == nil {
		return map[string][]string{ScopesKey: list}
	}
	key := strings.Join(list, "\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.shared[key]
	if !ok {
		known = map[string][]string{ScopesKey: slices.Clip(list)}
		if len(s.shared) < maxScopes && len(list) > 0 {
			s.shared[key] = known
		}
	}
	return known
}
