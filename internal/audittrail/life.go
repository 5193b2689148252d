package audittrail

import (
	"time"

	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// life collects accounts and keys of the traced credentials, and finds the revocations that cover them.
type life struct {
	*matcher
	// accounts and keys are those of the credentials, each with the earliest time at which one of them was seen.
	accounts, keys map[string]time.Time
	// revocations are the names of those that cover the credentials.
	revocations map[string]bool
}

// has reports whether an entry belongs to the life of the credentials. Entries come in the order of time.
func (l *life) has(e *Entry) bool {
	switch e.Kind {
	case Requested:
		if e.Code < 300 {
			see(l.accounts, e.Token.ServiceAccount, e.Time)
			see(l.keys, e.Token.KeyID, e.Time)
		}
	case Used, Reviewed:
		if namespace, name, err := serviceaccountuser.SplitUsername(e.User); err == nil {
			see(l.accounts, namespace+"/"+name, e.Time)
		}
	case Changed:
		return e.Code < 300
	case Revoked:
		covered := e.Code < 300 && l.covers(e)
		if covered && e.Revocation.Name != "" {
			l.revocations[e.Revocation.Name] = true
		}
		return covered
	case Restored:
		return e.Code < 300 && l.revocations[e.Revocation.Name]
	}
	return true
}

func see(seen map[string]time.Time, name string, at time.Time) {
	if _, known := seen[name]; !known && name != "" && len(seen) < maxCredentials {
		seen[name] = at
	}
}

// covers reports whether a revocation covers one of the credentials, which are tokens. Revocations of a subject are left out: no event has the
// subject of an OpenID Connect token.
func (l *life) covers(e *Entry) bool {
	r := e.Revocation
	var since time.Time
	var known bool
	switch {
	case r.CredentialID != "":
		return l.follows(r.CredentialID)
	case r.ServiceAccount != "":
		if since, known = l.accounts[r.ServiceAccount]; !known && r.ServiceAccount != l.ServiceAccount {
			return false
		}
	case r.KeyID != "" && r.Issuer != "":
		return r.KeyID == l.KeyID // a key of another issuer, which signs none of the tokens whose keys are known
	case r.KeyID != "":
		if since, known = l.keys[r.KeyID]; !known && r.KeyID != l.KeyID {
			return false
		}
	case r.Subject != "", r.CertificateUser != "":
		return false
	}
	return r.IssuedBefore == nil || since.Before(*r.IssuedBefore)
}
