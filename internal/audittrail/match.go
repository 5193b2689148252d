package audittrail

import (
	"fmt"
	"strings"
	"sync"

	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// maxCredentials is how many credentials of an account, a requester or a key are followed at most: about 20 MB.
const maxCredentials = 100_000

// errTooMany is the error when more are found.
var errTooMany = fmt.Errorf("there are more than %d credentials: narrow the time with --since and --until", maxCredentials)

// matcher finds the events of a selection.
type matcher struct {
	*Selection
	filter *filter
	// user is the user name of ServiceAccount.
	user string

	mu sync.Mutex
	// ids are the credentials that are followed.
	ids map[string]struct{}
}

func newMatcher(selection *Selection) *matcher {
	m := &matcher{Selection: selection, ids: map[string]struct{}{}}
	if namespace, name, ok := strings.Cut(selection.ServiceAccount, "/"); ok {
		m.user = serviceaccountuser.MakeUsername(namespace, name)
	}
	if c := selection.Credential; c != nil {
		for _, id := range c.IDs {
			m.ids[id] = struct{}{}
		}
		m.filter = filterOf(m.ids)
		if c.Object.Name != "" {
			m.filter.add(c.Object.Name)
		}
	}
	return m
}

// search prepares the first of two readings, which finds the credentials of the selection.
func (m *matcher) search() {
	m.filter = &filter{}
	m.addSelected()
}

// addSelected has those events pass that name the account, the requester or the key.
func (m *matcher) addSelected() {
	switch namespace, name, _ := strings.Cut(m.ServiceAccount, "/"); {
	case m.ServiceAccount != "":
		m.filter.add(m.user)
		m.filter.add("/namespaces/" + namespace + "/serviceaccounts/" + name + "/token")
	case m.RequestedBy != "":
		m.filter.add(m.RequestedBy, requestMarker)
	default:
		m.filter.add(m.KeyID)
	}
}

// follow prepares the second reading, which finds the events of these credentials.
func (m *matcher) follow() {
	m.filter = filterOf(m.ids)
	m.addSelected()
}

// note keeps the credentials of an event that belong to the selection.
func (m *matcher) note(e *event) error {
	if !m.inTime(e) {
		return nil
	}
	var ids []string
	if m.requested(e) {
		ids = append(ids, e.Annotations[IssuedCredentialID])
	}
	if m.user != "" && e.User.Username == m.user {
		ids = append(ids, e.presented())
	}
	if m.user != "" && e.review().User == m.user {
		ids = append(ids, e.reviewed())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if id != "" {
			m.ids[id] = struct{}{}
		}
	}
	if len(m.ids) > maxCredentials {
		return errTooMany
	}
	return nil
}

// requested reports whether an event is a TokenRequest of the selection.
func (m *matcher) requested(e *event) bool {
	account := e.account()
	switch {
	case account == "":
		return false
	case m.ServiceAccount != "":
		return account == m.ServiceAccount
	case m.RequestedBy != "":
		return e.User.Username == m.RequestedBy
	default:
		return m.KeyID != "" && e.Annotations[KeyID] == m.KeyID
	}
}

func (m *matcher) follows(id string) bool {
	_, ok := m.ids[id]
	return ok
}

// entries returns what an event means for the selection.
func (m *matcher) entries(e *event) []*Entry {
	if !m.inTime(e) {
		return nil
	}
	if revoked := e.revocation(); revoked != nil {
		return []*Entry{revoked}
	}
	var all []*Entry
	if m.follows(e.presented()) || m.user != "" && e.User.Username == m.user {
		all = append(all, e.use())
	}
	if m.requested(e) || m.follows(e.Annotations[IssuedCredentialID]) {
		all = append(all, e.request())
	}
	if review := e.review(); m.follows(review.CredentialID) || m.user != "" && review.User == m.user {
		all = append(all, review)
	}
	if m.Credential != nil && m.Credential.Object.written(e) {
		all = append(all, e.entry(Changed, ""))
	}
	return all
}

// written reports whether an event is a write to the object.
func (o Object) written(e *event) bool {
	if at := e.ObjectRef; o.Name == "" || (Object{at.Resource, at.Namespace, at.Name}) != o {
		return false
	}
	switch e.Verb {
	case "create", "update", "patch", "delete":
		return true
	}
	return false
}

func (m *matcher) inTime(e *event) bool {
	at := e.RequestReceivedTimestamp
	return (m.Since.IsZero() || !at.Before(m.Since)) && (m.Until.IsZero() || at.Before(m.Until))
}
