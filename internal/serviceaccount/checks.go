package serviceaccount

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/reason"
)

// Names of the checks, in the order in which they are made. Those of the objects that a token is bound to follow, from
// boundobject.
const (
	checkShape     = "shape"
	checkIssuer    = "issuer"
	checkKey       = "key"
	checkAlgorithm = "algorithm"
	checkSignature = "signature"
	checkClaims    = "claims"
	checkAudience  = "audience"
	checkNotBefore = "notBefore"
	checkExpiry    = "expiry"
	checkIssuedAt  = "issuedAt"
	checkAccount   = "serviceAccount"
	checkBound     = "boundObject"
	checkSubject   = "subject"
	checkSecret    = "secret"
	checkMark      = "markedInvalid"
)

// authenticatorName is the name in explanations.
const authenticatorName = "ServiceAccount"

var (
	signatureChecks = []string{checkShape, checkIssuer, checkKey, checkAlgorithm, checkSignature, checkClaims}
	boundChecks     = []string{checkAudience, checkNotBefore, checkExpiry, checkIssuedAt}
	legacyChecks    = []string{checkAudience, checkSubject, checkSecret, checkAccount, checkMark}
)

// errFailed is the error of a check that is noted as failed. The reason is in the error that the authenticator returns.
var errFailed = errors.New("failed")

func failed(is bool) error {
	if is {
		return errFailed
	}
	return nil
}

const wantShape = "a header, claims and a signature in base64url, with a dot between them"

// noteOpaque notes a token that has not three parts.
func noteOpaque(notes *reason.Checks) {
	if notes == nil {
		return
	}
	notes.Begin(authenticatorName)
	notes.Note(checkShape, errFailed, wantShape, "another text")
}

// noteShape notes the parts of a token, and its issuer.
func (a *Authenticator) noteShape(c *compact, foreign reason.Code, notes *reason.Checks) {
	if notes == nil {
		return
	}
	notes.Begin(authenticatorName)
	notes.Plan(slices.Concat(signatureChecks, boundChecks, []string{checkAccount})...)
	found := "all three"
	if c.broken != "" {
		found = "a " + c.broken + " that can't be read"
	}
	notes.Note(checkShape, failed(c.broken != ""), wantShape, found)
	if c.broken != "claims" {
		notes.Note(checkIssuer, failed(foreign == reason.UnknownIssuer), reason.Quoted(append(slices.Clone(a.Issuers), LegacyIssuer)), reason.Quote(c.issuer))
	}
}

// keyIDs is a KeySet that tells the ids of its keys.
type keyIDs interface{ KeyIDs() []string }

// noteSignature notes the key, the algorithm and the signature of a token.
func (a *Authenticator) noteSignature(c *compact, refused error, notes *reason.Checks) {
	if notes == nil {
		return
	}
	expected := "a key of the issuer"
	if known, ok := a.Keys.(keyIDs); ok {
		expected = reason.Quoted(known.KeyIDs())
	}
	found := "no key id: all keys are tried"
	if c.keyID != "" {
		found = reason.Quote(c.keyID)
	}
	code := reason.Of(refused)
	if notes.Note(checkKey, failed(code == reason.UnknownKey), expected, found); code == reason.UnknownKey {
		return
	}
	found = reason.Quote(c.algorithm)
	if c.unsignable {
		found += ", and a header that no key here signs"
	}
	unfit := code == reason.AlgorithmNotAllowed || code == reason.BadShape
	if notes.Note(checkAlgorithm, failed(unfit), "an algorithm of the key", found); unfit {
		return
	}
	notes.Note(checkSignature, refused, "one that the key made", "")
}

// noteUnread notes that it can't be told whether there is a key.
func noteUnread(notes *reason.Checks) {
	if notes != nil {
		notes.Note(checkKey, errFailed, "a key of the issuer", "not known: the keys could not be read")
	}
}

// noteClaims notes whether the claims can be read, and which checks they are for.
func noteClaims(known *facts, refused error, notes *reason.Checks) {
	if notes == nil {
		return
	}
	notes.Note(checkClaims, refused, "each claim once, and of its type", "")
	if refused != nil {
		return
	}
	var next []string
	if known.legacy != nil {
		next = append(next, legacyChecks...)
	}
	if known.account != nil {
		next = slices.Concat(next, boundChecks, known.account.claims.Binding.Checks())
	}
	notes.Plan(next...)
}

// noteDangling notes a reference to nothing.
func noteDangling(notes *reason.Checks) {
	if notes != nil {
		notes.Note(checkBound, errFailed, "the name and the UID of the object that the token is bound to", "neither")
	}
}

// noteAudience notes the audiences of a token, and those that are asked for.
func noteAudience(of, asked []string, refused bool, notes *reason.Checks) {
	if notes != nil {
		notes.Note(checkAudience, failed(refused), reason.Quoted(asked), reason.Quoted(of))
	}
}

// noteEarly notes a time that must not be in the future.
func noteEarly(check string, d Date, now time.Time, refused bool, notes *reason.Checks) {
	notes.Note(check, failed(refused), fmt.Sprintf("at most %s after the server's clock, %s", boundobject.Leeway, written(now)), d.shown(now))
}

// noteExpiry notes the end of a token.
func noteExpiry(d Date, now time.Time, refused bool, notes *reason.Checks) {
	notes.Note(checkExpiry, failed(refused), fmt.Sprintf("at most %s before the server's clock, %s", boundobject.Leeway, written(now)), d.shown(now))
}

// shown is a time of a token and its distance from now, for people.
func (d Date) shown(now time.Time) string {
	if !d.Given {
		return "none"
	}
	at := time.Unix(d.Seconds, 0)
	distance, side := at.Sub(now), "after"
	if distance < 0 {
		distance, side = -distance, "before"
	}
	return fmt.Sprintf("%s, %s %s the server's clock", written(at), distance.Round(time.Second), side)
}

func written(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// noteLegacyClaims notes the claims of a token in a secret.
func noteLegacyClaims(c *legacyClaims, refused error, notes *reason.Checks) {
	if notes != nil {
		notes.Note(checkSubject, refused, "a subject that is the account, and a secret", reason.Quote(c.Subject)+" and "+reason.Quote(c.Secret))
	}
}

// noteLegacy notes an object that a token in a secret depends on.
func noteLegacy(check, object string, refused error, notes *reason.Checks) {
	if notes == nil {
		return
	}
	found := "as the token needs it"
	if refused != nil {
		found = reason.Of(refused).Meaning()
	}
	notes.Note(check, refused, object, found)
}
