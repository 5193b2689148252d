package oauth

import (
	"slices"
	"strings"
	"sync"
)

// ScopesKey is where in what is told of a user the scopes of the token are. Whoever decides what the user may do has to
// look at them: a limited token without them is a full one.
const ScopesKey = "scopes.authorization.openshift.io"

// maxScopes bounds how many lists of scopes are shared. Of all the tokens of a cluster most have one of a handful.
const maxScopes = 1000

// scopes keeps one copy of what is told of users whose tokens have the same scopes.
type scopes struct {
	mu     sync.Mutex
	shared map[string]map[string][]string
}

func newScopes() scopes { return scopes{shared: map[string]map[string][]string{}} }

// extra returns what is told of a user, which must not be changed.
func (s *scopes) extra(list []string) map[string][]string {
	// No scope has a control character in it, but what is stored need not be what was checked.
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
