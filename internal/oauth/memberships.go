package oauth

import (
	"slices"
	"strings"
	"sync"

	userv1 "github.com/openshift/api/user/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/internal/view"
)

// AuthenticatedGroup is the group of all users with an access token. The name of a Group object has no colon, so none can be
// taken for it.
const AuthenticatedGroup = "system:authenticated:oauth"

// onlyAuthenticated are the groups of a user who is in no group.
var onlyAuthenticated = []string{AuthenticatedGroup}

// memberships tells in which groups a user is. A group lists its users; a review asks the other way round.
//
// The field groups of a User plays no part: nothing keeps it in step with the groups.
type memberships struct {
	mu sync.RWMutex
	// groups are, by user, the names of groups in their order with AuthenticatedGroup behind them. The lists are never
	// written to once they are here, so that a review takes one as it is.
	groups map[string][]string
	// users are those of each group, every one once and in order.
	users map[string][]string
}

func newMemberships() memberships {
	return memberships{groups: map[string][]string{}, users: map[string][]string{}}
}

// of returns the groups of a user. The list must not be changed.
func (m *memberships) of(user string) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if groups, ok := m.groups[user]; ok {
		return groups
	}
	return onlyAuthenticated
}

// changed takes in the new state of a group.
func (m *memberships) changed(key view.Key, obj runtime.Object) {
	var now []string
	if obj != nil {
		now = slices.Clone(obj.(*userv1.Group).Users)
		slices.Sort(now)
		now = slices.Clip(slices.Compact(now))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.users[key.Name]
	if len(now) == 0 {
		delete(m.users, key.Name)
	} else {
		m.users[key.Name] = now
	}
	for _, user := range without(before, now) {
		m.leave(user, key.Name)
	}
	for _, user := range without(now, before) {
		m.join(user, key.Name)
	}
}

func (m *memberships) join(user, group string) {
	groups, ok := m.groups[user]
	if !ok {
		groups = onlyAuthenticated
	}
	at, _ := findGroup(groups, group)
	// The list has no spare capacity, so an append to it makes a copy.
	m.groups[user] = slices.Clip(slices.Concat(groups[:at], []string{group}, groups[at:]))
}

func (m *memberships) leave(user, group string) {
	groups := m.groups[user]
	at, ok := findGroup(groups, group)
	switch {
	case !ok:
	case len(groups) == len(onlyAuthenticated)+1:
		delete(m.groups, user)
	default:
		m.groups[user] = slices.Clip(slices.Concat(groups[:at], groups[at+1:]))
	}
}

// findGroup returns where a group is, or would be, in the list of a user, which ends with AuthenticatedGroup.
func findGroup(groups []string, group string) (int, bool) {
	return slices.BinarySearchFunc(groups[:max(0, len(groups)-1)], group, strings.Compare)
}

// without returns the users that are in one ordered list and not in the other.
func without(list, other []string) []string {
	var rest []string
	for _, user := range list {
		if _, ok := slices.BinarySearch(other, user); !ok {
			rest = append(rest, user)
		}
	}
	return rest
}
