// Package reason provides the reason codes of reviews: the closed list of why a token is accepted, refused, or without a
// verdict. Explanations, metrics and audit records have the code; clients of a TokenReview get the error text, which is
// Kubernetes' own.
package reason

import "github.com/mintmark/mintmark/api/mintmark/v1alpha1"

// Code is one of the reason codes. The zero value is none.
type Code uint8

// The codes. docs/explain.md lists them with their meanings.
const (
	None Code = iota
	Accepted
	NoCredential
	UnknownToken
	BadShape
	UnknownIssuer
	UnknownKey
	AlgorithmNotAllowed
	BadSignature
	BadClaims
	AudienceMismatch
	NotYetValid
	Expired
	IssuedInFuture
	AccountGone
	AccountRecreated
	SecretGone
	SecretRecreated
	PodGone
	PodRecreated
	NodeGone
	NodeRecreated
	SecretMismatch
	MarkedInvalid
	BadSecret
	NotForAuthentication
	UserGone
	UserRecreated
	IdleTooLong
	NamelessUser
	IssuerRefused
	IssuerUnavailable
	ReservedIdentity
	WebhookRefused
	WebhookUnavailable
	LiveCheckRefused
	LiveCheckDisagrees
	LiveCheckUnavailable
	LiveCheckNotSetUp
	CertificateRefused
	Revoked
	AuthenticatorFailed
	Undecided

	end
)

// Count is the number of codes, None among them: an array of that length has a place for each.
const Count = int(end)

// codes are the names and meanings.
var codes = [Count]struct{ name, meaning string }{
	Accepted:             {"Accepted", "The token is good."},
	NoCredential:         {"NoCredential", "There is no token: the text is blank or begins with a blank, or the request has no credential at all."},
	UnknownToken:         {"UnknownToken", "No authenticator of this server knows the token."},
	BadShape:             {"BadShape", "The token looks like a JWT, but its parts are not base64url, its header or claims are not JSON, or its format is one that is no longer accepted."},
	UnknownIssuer:        {"UnknownIssuer", "The token names an issuer whose tokens this server does not accept."},
	UnknownKey:           {"UnknownKey", "The token names a key (kid) that is not among the keys of its issuer."},
	AlgorithmNotAllowed:  {"AlgorithmNotAllowed", "The header of the token names an algorithm, or an extension, with which the key does not sign."},
	BadSignature:         {"BadSignature", "The signature is not that of the key which the token names, or of any key of its issuer if it names none."},
	BadClaims:            {"BadClaims", "The signature is good, but a claim is missing, stands twice or has the wrong type; or the object that stands for the token lacks something."},
	AudienceMismatch:     {"AudienceMismatch", "The token is for other audiences than those that were asked for."},
	NotYetValid:          {"NotYetValid", "The token is not valid yet (nbf)."},
	Expired:              {"Expired", "The token has expired."},
	IssuedInFuture:       {"IssuedInFuture", "The token says that it was issued in the future (iat)."},
	AccountGone:          {"AccountGone", "The service account of the token does not exist, or has been deleted for longer than the leeway."},
	AccountRecreated:     {"AccountRecreated", "The service account was deleted and made again: the token names the UID of the old one."},
	SecretGone:           {"SecretGone", "The secret of the token does not exist, or has been deleted for longer than the leeway."},
	SecretRecreated:      {"SecretRecreated", "The secret was deleted and made again: the token depends on the old one."},
	PodGone:              {"PodGone", "The pod that the token is bound to does not exist, or has been deleted for longer than the leeway."},
	PodRecreated:         {"PodRecreated", "The pod was deleted and made again: the token names the UID of the old one."},
	NodeGone:             {"NodeGone", "The node that the token is bound to does not exist, or has been deleted for longer than the leeway."},
	NodeRecreated:        {"NodeRecreated", "The node was deleted and made again: the token names the UID of the old one."},
	SecretMismatch:       {"SecretMismatch", "The secret of the token holds another token now."},
	MarkedInvalid:        {"MarkedInvalid", "The secret of the token is marked as invalid (kubernetes.io/legacy-token-invalid-since), since the token was not used for long."},
	BadSecret:            {"BadSecret", "The secret that the token depends on has content that can't be used."},
	NotForAuthentication: {"NotForAuthentication", "The bootstrap token is not for authentication (usage-bootstrap-authentication)."},
	UserGone:             {"UserGone", "The user of the token does not exist."},
	UserRecreated:        {"UserRecreated", "The user was deleted and made again: the token names the UID of the old one."},
	IdleTooLong:          {"IdleTooLong", "The access token was not used for longer than its inactivity timeout."},
	NamelessUser:         {"NamelessUser", "The credential is good, but its user has no name."},
	IssuerRefused:        {"IssuerRefused", "The token does not meet the rules that the configuration has for its OpenID Connect issuer."},
	IssuerUnavailable:    {"IssuerUnavailable", "The keys of the token's OpenID Connect issuer could not be read, so the token could not be checked."},
	ReservedIdentity:     {"ReservedIdentity", "The user name, a group or an extra key that a token of a trusted issuer gives is reserved for this server."},
	WebhookRefused:       {"WebhookRefused", "The token webhook refused the token."},
	WebhookUnavailable:   {"WebhookUnavailable", "No authenticator of this server knows the token, and the token webhook did not answer."},
	LiveCheckRefused:     {"LiveCheckRefused", "The token's cluster was asked about the token and refused it (liveCheck of the TrustedIssuer)."},
	LiveCheckDisagrees:   {"LiveCheckDisagrees", "The token's cluster was asked about the token and named another user or uid, or none of the audiences."},
	LiveCheckUnavailable: {"LiveCheckUnavailable", "The token's cluster was to be asked about the token and gave no answer. The token may be good."},
	LiveCheckNotSetUp:    {"LiveCheckNotSetUp", "The token's cluster was to be asked about the token, but the secret with its kubeconfig is missing or can't be used. The token may be good."},
	CertificateRefused:   {"CertificateRefused", "The client certificate of the request is not accepted."},
	Revoked:              {"Revoked", "The token, or the client certificate of the request, was revoked."},
	AuthenticatorFailed:  {"AuthenticatorFailed", "An authenticator failed in an unexpected way."},
	Undecided:            {"Undecided", "There is no verdict: what the verdict depends on could not be read. The token may be good."},
}

// String returns the code as it is written everywhere.
func (c Code) String() string { return codes[c].name }

// Meaning returns what the code says, in a sentence for a person.
func (c Code) Meaning() string { return codes[c].meaning }

// Verdict returns the verdict that the code is the reason of.
func (c Code) Verdict() v1alpha1.Verdict {
	switch c {
	case Accepted:
		return v1alpha1.VerdictAuthenticated
	case Undecided, LiveCheckUnavailable, LiveCheckNotSetUp:
		return v1alpha1.VerdictUndecided
	}
	return v1alpha1.VerdictRefused
}

// All returns the codes in their order, without None.
func All() []Code {
	all := make([]Code, 0, Count-1)
	for code := None + 1; code < end; code++ {
		all = append(all, code)
	}
	return all
}

// Unanswered reports whether the code says that the store, an issuer, a cluster or a webhook did not answer. Then a refusal says nothing
// about the token.
func (c Code) Unanswered() bool {
	return c.Verdict() == v1alpha1.VerdictUndecided || c == IssuerUnavailable || c == WebhookUnavailable
}

// stranger reports whether the code says that an authenticator left a credential to others. A client certificate that one authority does
// not know may be another's: that of a proxy or that of a client.
func (c Code) stranger() bool {
	return c == None || c == UnknownToken || c == UnknownIssuer || c == BadShape || c == CertificateRefused
}
