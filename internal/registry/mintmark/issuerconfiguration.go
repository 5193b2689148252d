package mintmark

import (
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	apiservervalidation "k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// compiler compiles the expressions of specs. It takes a while to make, and most servers don't need it.
var compiler = sync.OnceValue(authenticationcel.NewDefaultCompiler)

// validateConfiguration checks a spec as kube-apiserver checks an AuthenticationConfiguration, expressions included.
func validateConfiguration(spec *mintmarkv1alpha1.TrustedIssuerSpec) field.ErrorList {
	_, errs := apiservervalidation.CompileAndValidateJWTAuthenticator(compiler(), authenticatorOf(spec), nil)
	for _, err := range errs {
		// The library's paths begin at a JWT authenticator, whose issuer is a part of it.
		err.Field = specPath.String() + "." + strings.TrimPrefix(err.Field, "issuer.")
		if strings.HasSuffix(err.Detail, "is required") && strings.Contains(err.Detail, "issuer.audiences") {
			err.Detail = "at least one: for which audiences the issuer's tokens are accepted"
		}
	}
	return errs
}

// authenticatorOf returns the JWT authenticator that a spec describes. With kubernetes the user does not come from it.
func authenticatorOf(spec *mintmarkv1alpha1.TrustedIssuerSpec) apiserver.JWTAuthenticator {
	made := apiserver.JWTAuthenticator{Issuer: apiserver.Issuer{
		URL: spec.URL, DiscoveryURL: spec.DiscoveryURL, CertificateAuthority: spec.CertificateAuthority,
		Audiences: spec.Audiences, AudienceMatchPolicy: apiserver.AudienceMatchPolicyType(spec.AudienceMatchPolicy),
	}}
	for _, rule := range spec.ClaimValidationRules {
		made.ClaimValidationRules = append(made.ClaimValidationRules, apiserver.ClaimValidationRule(rule))
	}
	for _, rule := range spec.UserValidationRules {
		made.UserValidationRules = append(made.UserValidationRules, apiserver.UserValidationRule(rule))
	}
	mappings := spec.ClaimMappings
	if mappings == nil {
		none := ""
		mappings = &mintmarkv1alpha1.ClaimMappings{Username: mintmarkv1alpha1.PrefixedClaimOrExpression{Claim: "sub", Prefix: &none}}
	}
	made.ClaimMappings = apiserver.ClaimMappings{
		Username: apiserver.PrefixedClaimOrExpression(mappings.Username),
		Groups:   apiserver.PrefixedClaimOrExpression(mappings.Groups),
		UID:      apiserver.ClaimOrExpression(mappings.UID),
	}
	for _, mapping := range mappings.Extra {
		made.ClaimMappings.Extra = append(made.ClaimMappings.Extra, apiserver.ExtraMapping(mapping))
	}
	return made
}
