package serviceaccount

import (
	"slices"

	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"
	credentialid "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/revocation"
)

// account is the service account that a token stands for, as a user. Accounts are cached by the thousand, so they use few
// allocations; the Extra map is built on demand.
type account struct {
	claims *Claims
	keyID  string // of the token's header
	name   string
	// groups include system:authenticated, which would otherwise be added to a copy at every request.
	groups [3]string
	extra  [][2]string // keys, in their order, and values
}

var (
	_ user.Info         = (*account)(nil)
	_ revocation.Holder = (*account)(nil)
)

// newAccount returns the service account that the claims name, as kube-apiserver does (ServiceAccountInfo in
// k8s.io/apiserver/pkg/authentication/serviceaccount).
func newAccount(c *Claims) *account {
	b := &c.Binding
	a := &account{
		claims: c,
		name:   c.Subject,
		groups: [...]string{serviceaccountuser.AllServiceAccountsGroup, serviceaccountuser.MakeNamespaceGroupName(b.Namespace), user.AllAuthenticated},
	}
	if !serviceaccountuser.MatchesUsername(b.Namespace, b.ServiceAccount.Name, c.Subject) {
		a.name = serviceaccountuser.MakeUsername(b.Namespace, b.ServiceAccount.Name)
	}
	a.extra = c.Extra()
	return a
}

// Extra returns what a review tells of the token besides the account: its credential id, and the objects that it is bound to. It
// is in the order of the keys, each with its one value.
func (c *Claims) Extra() [][2]string {
	b := &c.Binding
	var stack [5][2]string
	extra := stack[:0]
	if c.ID != "" {
		extra = append(extra, [...]string{user.CredentialIDKey, credentialid.CredentialIDForJTI(c.ID)})
	}
	if b.Node.Name != "" {
		extra = append(extra, [...]string{serviceaccountuser.NodeNameKey, b.Node.Name})
		if b.Node.UID != "" {
			extra = append(extra, [...]string{serviceaccountuser.NodeUIDKey, string(b.Node.UID)})
		}
	}
	if b.Pod.Name != "" && b.Pod.UID != "" {
		extra = append(extra, [...]string{serviceaccountuser.PodNameKey, b.Pod.Name}, [...]string{serviceaccountuser.PodUIDKey, string(b.Pod.UID)})
	}
	return slices.Clone(extra)
}

// GetName returns the user name.
func (a *account) GetName() string { return a.name }

// GetUID returns the uid of the service account.
func (a *account) GetUID() string { return string(a.claims.Binding.ServiceAccount.UID) }

// GetGroups returns the groups. They are shared and must not be changed.
func (a *account) GetGroups() []string { return a.groups[:] }

// GetExtra returns what else is known: the token's credential id, and the objects that it is bound to.
func (a *account) GetExtra() map[string][]string {
	if len(a.extra) == 0 {
		return nil
	}
	extra := make(map[string][]string, len(a.extra))
	for _, pair := range a.extra {
		extra[pair[0]] = []string{pair[1]}
	}
	return extra
}

// Credential returns what the token says that a revocation can go by.
func (a *account) Credential() revocation.Credential {
	c := a.claims
	return revocation.Credential{
		Own: true, Issuer: c.Issuer, Subject: c.Subject, ID: c.ID, KeyID: a.keyID,
		Namespace: c.Binding.Namespace, Account: c.Binding.ServiceAccount.Name,
		IssuedAt: c.IssuedAt.Seconds, Dated: c.IssuedAt.Given,
	}
}

// SortedExtra returns the same, in the order of the keys, each with its one value. It is shared and must not be changed.
func (a *account) SortedExtra() [][2]string { return a.extra }
