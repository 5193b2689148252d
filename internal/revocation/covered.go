package revocation

import (
	"strings"

	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"
	credentialid "k8s.io/apiserver/pkg/authentication/token/jwt"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// IDPrefix stands before a jti in the extra of a user and in audit records.
var IDPrefix = strings.TrimSuffix(credentialid.CredentialIDForJTI("-"), "-")

// Covered says in words what a revocation covers, for tables and people.
func Covered(spec *v1alpha1.TokenRevocationSpec) string {
	switch {
	case spec.CredentialID != "" && spec.Issuer != "":
		return "the token " + IDPrefix + spec.CredentialID + " of " + spec.Issuer
	case spec.CredentialID != "":
		return "the token " + IDPrefix + spec.CredentialID
	case spec.TokenHash != "":
		return "the token with the hash " + spec.TokenHash
	case spec.ServiceAccount != nil:
		return "the tokens of " + serviceaccountuser.MakeUsername(spec.ServiceAccount.Namespace, spec.ServiceAccount.Name)
	case spec.Subject != nil:
		return "the tokens of " + spec.Subject.Subject + " of " + spec.Subject.Issuer
	case spec.KeyID != "" && spec.Issuer != "":
		return "the tokens of the key " + spec.KeyID + " of " + spec.Issuer
	case spec.KeyID != "":
		return "the tokens of the key " + spec.KeyID
	case spec.ClientCertificate != nil:
		return "the client certificates of " + spec.ClientCertificate.Username
	}
	return "all tokens"
}
