// Package forgery makes bad tokens for tests: each is like a token that the server has issued, and wrong in one way.
package forgery

import (
	"context"
	"slices"
)

// Kind is a way in which a token can be wrong.
type Kind struct {
	// Name is the name in the API and in commands.
	Name string
	// Meaning says what is wrong with such a token.
	Meaning string
	// Live says that the token is signed and formed as a good one is, so that only a review can tell: the signature, the times
	// and the audiences are right.
	Live bool

	make func(*token, context.Context) (string, error)
}

// kinds are in the order in which a person would think of them.
var kinds = []Kind{
	{"Expired", "The token ended an hour ago.", false, claims(func(c object, f *token) { c.shift(-f.life - hour) })},
	{"NotYetValid", "The token begins in an hour.", false, claims(func(c object, _ *token) { c.shift(hour) })},
	{"IssuedInFuture", "The token was issued in an hour (iat); it has begun, and has not ended.", false, claims(func(c object, f *token) { c.later("iat", hour+f.life/2) })},
	{"ZeroExpiration", "The claim exp is 0; the signature is good.", false, claims(func(c object, _ *token) { c.set("exp", 0) })},
	{"OtherAudience", "The token is for another audience.", false, claims(func(c object, _ *token) { c.set("aud", []string{"another-audience"}) })},
	{"NoAudience", "The token has no claim aud.", false, claims(func(c object, _ *token) { delete(c, "aud") })},
	{"AudienceTwice", "The claim aud stands twice, at last with another audience; the signature is good.", false, appended("aud", true)},
	{"AudienceInCapitals", "The claim aud is for another audience, and a claim AUD for the right one; the signature is good.", false, appended("AUD", false)},
	{"WrongIssuer", "The claim iss names another issuer; the signature is good.", false, claims(func(c object, _ *token) { c.set("iss", "https://another-issuer.invalid") })},
	{"NoAccount", "The token has no claim kubernetes.io; the signature is good.", false, claims(func(c object, _ *token) { delete(c, "kubernetes.io") })},
	{"WrongKey", "Another key made the signature, and the header names that key.", false, (*token).wrongKey},
	{"KeyIDOfAnother", "Another key made the signature, and the header names the server's.", false, (*token).keyIDOfAnother},
	{"NoKeyID", "Another key made the signature, and the header names no key.", false, (*token).noKeyID},
	{"EmbeddedKey", "Another key made the signature, and is in the header (jwk).", false, (*token).embeddedKey},
	{"EmbeddedCertificate", "Another key made the signature, and a certificate of it is in the header (x5c).", false, (*token).embeddedCertificate},
	{"KeyURL", "Another key made the signature, and the header has a URL of it (jku).", false, (*token).keyURL},
	{"AlgorithmNone", "The algorithm in the header is none, and there is no signature.", false, (*token).algorithmNone},
	{"WrongAlgorithm", "The header names another algorithm than the one that made the signature.", false, (*token).wrongAlgorithm},
	{"HMACWithPublicKey", "The signature is an HMAC whose secret is the PEM of the server's public key.", false, (*token).hmacWithPublicKey},
	{"NoSignature", "The signature is empty; the header is that of a good token.", false, (*token).noSignature},
	{"TruncatedSignature", "The second half of the signature is missing.", false, (*token).truncatedSignature},
	{"TamperedPayload", "The account in the payload was changed after the token was signed.", false, (*token).tamperedPayload},
	{"TamperedHeader", "The header was changed after the token was signed.", false, (*token).tamperedHeader},
	{"CriticalHeader", "The header has an extension that must be understood, and that nobody knows (crit).", false, (*token).criticalHeader},
	{"UnencodedPayload", "The header says that the payload is not encoded (b64, RFC 7797).", false, (*token).unencodedPayload},
	{"Padded", "The signature is followed by the padding of base64, so the token has a second spelling.", false, (*token).padded},
	{"TwoSignatures", "The token is in JSON form with two signatures, a good one and another.", false, (*token).twoSignatures},
	{"FiveParts", "The token has five parts, as an encrypted one has.", false, (*token).fiveParts},
	{"DeletedAccount", "The service account does not exist.", true, claims(func(c object, _ *token) { c.account("deleted-account") })},
	{"RecreatedAccount", "The service account was deleted, and made again with the same name.", true, bound("serviceaccount", "")},
	{"DeletedPod", "The token is bound to a pod that does not exist.", true, bound("pod", "deleted-pod")},
	{"DeletedSecret", "The token is bound to a secret that does not exist.", true, bound("secret", "deleted-secret")},
	{"DeletedNode", "The token is bound to a node that does not exist.", true, bound("node", "deleted-node")},
	{"Revoked", "The token was taken back.", true, (*token).revoked},
}

// Kinds returns all kinds.
func Kinds() []Kind { return slices.Clone(kinds) }

func find(name string) (Kind, bool) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}
