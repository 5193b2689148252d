// Package audittrail has the annotations that audit events carry about credentials, and follows one credential through audit
// logs.
//
// The audit log is the only record of issued tokens. Three kinds of events tell the life of a credential: the TokenRequest
// that issued it, requests that were made with it, and reviews of it. A revocation ends it. Each event names the credential by
// its id, never by its text. Kubernetes' own annotations are used where there are some, so the events of a kube-apiserver
// can be read as well.
package audittrail

import (
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Prefix begins the names of all annotations that Kubernetes has no name for.
const Prefix = "authentication.mintmark.io/"

// Annotations of a TokenRequest that issued a token.
const (
	// IssuedCredentialID is the id of the token. The name is Kubernetes'.
	IssuedCredentialID = serviceaccount.IssuedCredentialIDAuditAnnotationKey
	// ServiceAccount is the account of the token, as NAMESPACE/NAME.
	ServiceAccount = Prefix + "service-account"
	// ServiceAccountUID is the uid of the account.
	ServiceAccountUID = Prefix + "service-account-uid"
	// Audiences are the audiences of the token, as a list in JSON.
	Audiences = Prefix + "audiences"
	// BoundObject is the object that the token is bound to, as KIND/NAME/UID. A token that is bound to nothing but its
	// account has no such annotation.
	BoundObject = Prefix + "bound-object"
	// Expires is when the token ends, as in RFC 3339.
	Expires = Prefix + "expires"
	// KeyID is the kid of the key that signed the token.
	KeyID = Prefix + "key-id"
)

// Reason is the reason code of a review, or of a request that was refused since its caller is not known.
const Reason = Prefix + "reason"

// Annotations of a review.
const (
	// Verdict is Authenticated, Refused or Undecided.
	Verdict = Prefix + "verdict"
	// ReviewedCredentialID is the id of the reviewed token. If the verdict is not Authenticated, it is the id that the token
	// claims to have.
	ReviewedCredentialID = Prefix + "reviewed-credential-id"
	// ReviewedUser is the name of the user whose token it is.
	ReviewedUser = Prefix + "reviewed-user"
	// ReviewedIssuer is the issuer of the token, if it is one of a TrustedIssuer.
	ReviewedIssuer = Prefix + "reviewed-issuer"
)

// Annotations of a request that had many tokens reviewed, a TokenReviewList. It names no credential.
const (
	// Reviews is how many reviews were asked for.
	Reviews = Prefix + "reviews"
	// ReviewsAuthenticated, ReviewsRefused and ReviewsUndecided are how many of them had that verdict. A review without a token
	// counts as undecided.
	ReviewsAuthenticated = Prefix + "reviews-authenticated"
	ReviewsRefused       = Prefix + "reviews-refused"
	ReviewsUndecided     = Prefix + "reviews-undecided"
)

// PresentedIssuer is the issuer of a caller's token, if it is one of a TrustedIssuer.
const PresentedIssuer = Prefix + "presented-issuer"

// LiveCheckSkipped is the name of the TrustedIssuer whose cluster gave no answer about a token that was accepted nevertheless
// (onFailure: Accept): the reviewed token, or the caller's own.
const LiveCheckSkipped = Prefix + "live-check-skipped"

// Annotations of a request that revoked tokens. They say which tokens: one, or those of an account, of a subject of an issuer
// or of a key, or, where there is RevokedIssuedBefore alone, all. With RevokedCertificateUser, client certificates are revoked.
const (
	// RevocationName is the name of the TokenRevocation.
	RevocationName = Prefix + "revocation"
	// RevokedBy is the user who revoked: the caller, or, without a caller's credential, the holder of the revoked token.
	RevokedBy = Prefix + "revoked-by"
	// RevokedCredentialID is the id of the one token.
	RevokedCredentialID = Prefix + "revoked-credential-id"
	// RevokedServiceAccount is the account, as NAMESPACE/NAME.
	RevokedServiceAccount = Prefix + "revoked-service-account"
	// RevokedIssuer is the issuer of the token or of the subject, if it is named.
	RevokedIssuer = Prefix + "revoked-issuer"
	// RevokedSubject is the subject.
	RevokedSubject = Prefix + "revoked-subject"
	// RevokedKeyID is the kid of the key.
	RevokedKeyID = Prefix + "revoked-key-id"
	// RevokedCertificateUser is the user whose client certificates were revoked.
	RevokedCertificateUser = Prefix + "revoked-certificate-user"
	// RevokedIssuedBefore is the instant before which the tokens were issued, as in RFC 3339.
	RevokedIssuedBefore = Prefix + "revoked-issued-before"
)

// Annotations about the credential of a caller.
const (
	// CallerCredentialID is the key, in the extra of an event's user, of the id of the presented credential. The name is
	// Kubernetes'.
	CallerCredentialID = user.CredentialIDKey
	// PresentedCredentialID is an annotation with the id of the presented token where the extra of the user has none: of a
	// token without a jti, and of a refused token, of which it is the id that the token claims to have.
	PresentedCredentialID = Prefix + "credential-id"
	// Unavailable is why it could not be found out who calls. The client got 503, and not the 401 that the event has.
	Unavailable = Prefix + "unavailable"
)
