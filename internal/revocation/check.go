package revocation

import (
	"strings"

	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/reason"
)

// Covers reports whether a token was taken back, whose user is owner. While there are no entries it is one atomic load.
func (s *Set) Covers(token string, owner user.Info) bool {
	return s.tokenEntries.Load() != 0 && s.covers(token, owner)
}

// The refusals of tokens that were taken back.
var (
	errOwn         = reason.New(reason.Revoked, boundobject.ErrInvalidated.Error())
	errOther       = reason.Invalid(reason.Revoked)
	errCertificate = reason.New(reason.Revoked, "the client certificate has been revoked")
)

// Check returns the refusal of a token that was taken back, whose user is owner; nil if it was not. Service account tokens get
// the text that clients know for those whose objects are gone.
func (s *Set) Check(token string, owner user.Info) error {
	if !s.Covers(token, owner) {
		return nil
	}
	if holder, ok := owner.(Holder); ok && holder.Credential().Own {
		return errOwn
	}
	return errOther
}

// Holder is a user who knows what the token says.
type Holder interface {
	Credential() Credential
}

func (s *Set) covers(token string, owner user.Info) bool {
	c := Credential{}
	if holder, ok := owner.(Holder); ok {
		c = holder.Credential()
	} else {
		c = Read(token)
	}
	if c.Account == "" && !c.Foreign && strings.HasPrefix(owner.GetName(), serviceaccountuser.ServiceAccountUsernamePrefix) {
		c.Namespace, c.Account, _ = serviceaccountuser.SplitUsername(owner.GetName())
	}
	switch {
	case c.ID != "":
		if c.Own && s.has(ownID, "", c.ID) || s.has(foreignID, c.Issuer, c.ID) {
			return true
		}
	case s.counts[text].Load() != 0:
		hash := Hash(token)
		if s.has(text, "", string(hash[:])) {
			return true
		}
	}
	return c.Own && s.issuedBefore(ownKeyID, "", c.KeyID, &c) ||
		s.issuedBefore(keyID, "", c.KeyID, &c) ||
		c.Issuer != "" && s.issuedBefore(keyID, c.Issuer, c.KeyID, &c) ||
		s.issuedBefore(account, c.Namespace, c.Account, &c) ||
		s.issuedBefore(subject, c.Issuer, c.Subject, &c) ||
		s.counts[everything].Load() != 0 && s.isBefore(s.digest(everything, "", ""), &c)
}

func (s *Set) has(k kind, first, second string) bool {
	if s.counts[k].Load() == 0 {
		return false
	}
	d := s.digest(k, first, second)
	s.mu.RLock()
	_, ok := s.tokens[d]
	s.mu.RUnlock()
	return ok
}

// issuedBefore reports whether a token is covered by what is named, which is nothing if the second name is empty.
func (s *Set) issuedBefore(k kind, first, second string, c *Credential) bool {
	return s.counts[k].Load() != 0 && second != "" && s.isBefore(s.digest(k, first, second), c)
}

func (s *Set) isBefore(d digest, c *Credential) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	known, ok := s.before[d]
	return ok && (!c.Dated || c.IssuedAt < int64(known.latest))
}
