package trustedissuer

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/reason"
)

// Errors of checks that end the checks of this authenticator without a refusal.
var (
	errStranger = errors.New("no TrustedIssuer has this url")
	errTenant   = errors.New("none of the tenant's audiences is asked for")
)

// noteIssuer notes which object has the issuer that a token names, and whether the question sees it.
func noteIssuer(of *issuer, url string, asked authenticator.Audiences, notes *reason.Checks) {
	if notes == nil {
		return
	}
	if of == nil {
		notes.Note("trustedIssuer", errStranger, "the url of a TrustedIssuer", reason.Quote(url))
		return
	}
	notes.Note("trustedIssuer", nil, "the url of a TrustedIssuer", fmt.Sprintf("%s, of the TrustedIssuer %s", reason.Quote(url), of.object.Name))
	if tenant := of.object.Spec.Tenant; tenant != nil {
		var err error
		if !of.shownTo(asked) {
			err = errTenant
		}
		notes.Note("tenant", err, "one of "+reason.Quoted(tenant.Audiences), reason.Quoted(asked))
	}
}

// noteHeader notes the algorithm.
func noteHeader(h *header, of *issuer, err error, notes *reason.Checks) {
	if notes != nil {
		notes.Note("algorithm", err, "one of "+reason.Quoted(of.algorithms()), reason.Quote(h.Algorithm))
	}
}

// noteKey notes the key id with the age of the keys, and the signature.
func noteKey(h *header, of *issuer, seen *keySet, err error, notes *reason.Checks) {
	if notes == nil {
		return
	}
	age := "never read"
	switch {
	case of.keys.inline:
		age = "in the object"
	case !seen.read.IsZero():
		age = fmt.Sprintf("read %s ago", time.Since(seen.read).Round(time.Second))
	}
	missing := err
	if reason.Of(err) == reason.BadSignature {
		missing = nil
	}
	notes.Note("key", missing, fmt.Sprintf("one of %s (%s)", reason.Quoted(seen.ids()), age), reason.Quote(h.KeyID))
	if missing == nil {
		notes.Note("signature", err, "made by the key", "")
	}
}

// noteClaims notes the claims, which the library checks in one.
func noteClaims(err error, notes *reason.Checks) {
	if notes != nil {
		notes.Note("claims", err, "", reason.Of(err).Meaning())
	}
}

// noteIsolation notes whether the user is one that the issuer may speak for.
func noteIsolation(u user.Info, err error, notes *reason.Checks) {
	if notes != nil {
		notes.Note("isolation", err, "no name that is reserved for this server", fmt.Sprintf("%s, groups %s", reason.Quote(u.GetName()), reason.Quoted(u.GetGroups())))
	}
}

// noteAudience notes the audiences.
func noteAudience(known *verdict, asked authenticator.Audiences, err error, notes *reason.Checks) {
	if notes != nil {
		notes.Note("audience", err, reason.Quoted(asked), fmt.Sprintf("%s, of which the issuer may be good for %s", reason.Quoted(known.of), reason.Quoted(known.audiences)))
	}
}
