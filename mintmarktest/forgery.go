package mintmarktest

import (
	"slices"

	"github.com/mintmark/mintmark/internal/forgery"
)

// Forgery is a kind of token that must be refused.
type Forgery string

// The kinds of tokens that must be refused. Two tokens are none of them, since Kubernetes accepts them: one that is signed by the server
// and has no claim exp never ends, and the claim sub of one that names its account in kubernetes.io is not compared with that.
const (
	// Expired: the token ended an hour ago.
	Expired Forgery = "Expired"
	// NotYetValid: the token begins in an hour.
	NotYetValid Forgery = "NotYetValid"
	// IssuedInFuture: the claim iat is to come; the token has begun, and has not ended.
	IssuedInFuture Forgery = "IssuedInFuture"
	// ZeroExpiration: the claim exp is 0; the signature is good.
	ZeroExpiration Forgery = "ZeroExpiration"
	// OtherAudience: the token is for another audience.
	OtherAudience Forgery = "OtherAudience"
	// NoAudience: the token has no claim aud.
	NoAudience Forgery = "NoAudience"
	// AudienceTwice: the claim aud stands twice, at last with another audience; the signature is good. A reader takes the last one or
	// refuses the token (RFC 7519 section 4).
	AudienceTwice Forgery = "AudienceTwice"
	// AudienceInCapitals: the claim aud is for another audience, and a claim AUD for the right one; the signature is good. Names of
	// claims are compared letter by letter, which encoding/json of Go does not do by itself.
	AudienceInCapitals Forgery = "AudienceInCapitals"
	// WrongIssuer: the claim iss names another issuer; the signature is good.
	WrongIssuer Forgery = "WrongIssuer"
	// NoAccount: the token has no claim kubernetes.io; the signature is good.
	NoAccount Forgery = "NoAccount"
	// WrongKey: another key made the signature, and the header names that key.
	WrongKey Forgery = "WrongKey"
	// KeyIDOfAnother: another key made the signature, and the header names the server's.
	KeyIDOfAnother Forgery = "KeyIDOfAnother"
	// NoKeyID: another key made the signature, and the header names no key.
	NoKeyID Forgery = "NoKeyID"
	// EmbeddedKey: another key made the signature, and is in the header (jwk).
	EmbeddedKey Forgery = "EmbeddedKey"
	// EmbeddedCertificate: another key made the signature, and a certificate of it is in the header (x5c).
	EmbeddedCertificate Forgery = "EmbeddedCertificate"
	// KeyURL: another key made the signature, and the header has a URL of it (jku).
	KeyURL Forgery = "KeyURL"
	// AlgorithmNone: the algorithm in the header is none, and there is no signature.
	AlgorithmNone Forgery = "AlgorithmNone"
	// WrongAlgorithm: the header names another algorithm than the one that made the signature.
	WrongAlgorithm Forgery = "WrongAlgorithm"
	// HMACWithPublicKey: the signature is an HMAC whose secret is the PEM of the server's public key.
	HMACWithPublicKey Forgery = "HMACWithPublicKey"
	// NoSignature: the signature is empty; the header is that of a good token.
	NoSignature Forgery = "NoSignature"
	// TruncatedSignature: the second half of the signature is missing.
	TruncatedSignature Forgery = "TruncatedSignature"
	// TamperedPayload: the account in the payload was changed after the token was signed.
	TamperedPayload Forgery = "TamperedPayload"
	// TamperedHeader: the header was changed after the token was signed.
	TamperedHeader Forgery = "TamperedHeader"
	// CriticalHeader: the header has an extension that must be understood, and that nobody knows (crit).
	CriticalHeader Forgery = "CriticalHeader"
	// UnencodedPayload: the header says that the payload is not encoded (b64, RFC 7797).
	UnencodedPayload Forgery = "UnencodedPayload"
	// Padded: the signature is followed by the padding of base64, so the token has a second spelling.
	Padded Forgery = "Padded"
	// TwoSignatures: the token is in JSON form with two signatures, a good one and another.
	TwoSignatures Forgery = "TwoSignatures"
	// FiveParts: the token has five parts, as an encrypted one has.
	FiveParts Forgery = "FiveParts"

	// Of the kinds from here on only a review can tell that they are bad: signature, times and audiences are right.

	// DeletedAccount: the service account does not exist.
	DeletedAccount Forgery = "DeletedAccount"
	// RecreatedAccount: the service account was deleted, and made again with the same name.
	RecreatedAccount Forgery = "RecreatedAccount"
	// DeletedPod: the token is bound to a pod that does not exist.
	DeletedPod Forgery = "DeletedPod"
	// DeletedSecret: the token is bound to a secret that does not exist.
	DeletedSecret Forgery = "DeletedSecret"
	// DeletedNode: the token is bound to a node that does not exist.
	DeletedNode Forgery = "DeletedNode"
	// Revoked: the token was taken back.
	Revoked Forgery = "Revoked"
)

// Kinds returns all kinds of forged tokens.
func Kinds() []Forgery {
	var kinds []Forgery
	for _, kind := range forgery.Kinds() {
		kinds = append(kinds, Forgery(kind.Name))
	}
	return kinds
}

// NeedsReview reports whether only a review by the server can tell that such a token is bad. A party that checks signature,
// times, issuer and audience by itself accepts it.
func (f Forgery) NeedsReview() bool {
	return slices.ContainsFunc(forgery.Kinds(), func(kind forgery.Kind) bool { return kind.Name == string(f) && kind.Live })
}
