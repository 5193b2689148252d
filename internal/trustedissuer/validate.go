package trustedissuer

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/foreigntoken"
)

const (
	// maxKeys is the most keys of a key set. A set of more is refused before any is read.
	maxKeys = 256
	// maxKeySet bounds a key set, and maxText any other text of a spec.
	maxKeySet, maxText = 256 << 10, 2048
	// maxPrefix bounds the prefix of names.
	maxPrefix = 256
)

// compiler compiles the expressions of all issuers. Making one is expensive.
var compiler = sync.OnceValue(authenticationcel.NewDefaultCompiler)

// Validate returns the mistakes of a spec. ownIssuers are those of this server's tokens and of its configuration.
func Validate(spec *v1alpha1.TrustedIssuerSpec, ownIssuers []string) (errs field.ErrorList) {
	path := field.NewPath("spec")
	errs = append(errs, validateUser(spec, path)...)
	errs = append(errs, validateKeys(spec, path)...)
	errs = append(errs, validateTenant(spec, path)...)
	_, found := validation.CompileAndValidateJWTAuthenticator(compiler(), authenticatorOf(spec), ownIssuers)
	for _, one := range found {
		if spec.Kubernetes != nil && strings.HasPrefix(one.Field, "claimMappings") {
			continue // made here, not given
		}
		one.Field = path.String() + "." + strings.TrimPrefix(one.Field, "issuer.")
		errs = append(errs, one)
	}
	return errs
}

// validateUser checks how users are made of claims.
func validateUser(spec *v1alpha1.TrustedIssuerSpec, path *field.Path) (errs field.ErrorList) {
	switch {
	case spec.Kubernetes == nil && spec.ClaimMappings == nil:
		errs = append(errs, field.Required(path.Child("claimMappings"), "set claimMappings, or kubernetes for the service account tokens of a cluster"))
	case spec.Kubernetes != nil && spec.ClaimMappings != nil:
		errs = append(errs, field.Forbidden(path.Child("claimMappings"), "it does not go with kubernetes, which makes the user as the cluster does"))
	}
	if spec.Kubernetes != nil {
		errs = append(errs, validatePrefix(spec.Kubernetes.Prefix, path.Child("kubernetes", "prefix"))...)
	}
	if mappings := spec.ClaimMappings; mappings != nil {
		for i, extra := range mappings.Extra {
			if reservedKey(extra.Key) {
				errs = append(errs, field.Invalid(path.Child("claimMappings", "extra").Index(i).Child("key"), extra.Key, "the key is reserved for this server"))
			}
		}
	}
	for i, algorithm := range spec.Algorithms {
		if !slices.Contains(oidc.AllValidSigningAlgorithms(), algorithm) {
			errs = append(errs, field.NotSupported(path.Child("algorithms").Index(i), algorithm, oidc.AllValidSigningAlgorithms()))
		}
	}
	return errs
}

// validatePrefix checks that no name with the prefix is one of the names that are reserved for this server.
func validatePrefix(prefix string, path *field.Path) (errs field.ErrorList) {
	switch {
	case prefix == "":
	case len(prefix) > maxPrefix:
		errs = append(errs, field.TooLong(path, "", maxPrefix))
	case !visible(prefix) || strings.TrimSpace(prefix) != prefix:
		errs = append(errs, field.Invalid(path, prefix, "it has white space around it, or a character that can't be seen"))
	case reservedName(prefix + "system:serviceaccount:"):
		errs = append(errs, field.Invalid(path, prefix, "names with it would begin with system:, which is reserved for this server; take another prefix, such as \"east:\", or none"))
	}
	return errs
}

// validateKeys checks where the keys come from.
func validateKeys(spec *v1alpha1.TrustedIssuerSpec, path *field.Path) (errs field.ErrorList) {
	for _, text := range []struct{ name, value string }{{"url", spec.URL}, {"discoveryURL", spec.DiscoveryURL}, {"jwksURI", spec.JWKSURI}} {
		if len(text.value) > maxText {
			errs = append(errs, field.TooLong(path.Child(text.name), "", maxText))
		}
	}
	if spec.JWKSURI != "" {
		if spec.DiscoveryURL != "" {
			errs = append(errs, field.Forbidden(path.Child("jwksURI"), "it does not go with discoveryURL: keys come from one place"))
		}
		errs = append(errs, validateURI(spec.JWKSURI, path.Child("jwksURI"))...)
	}
	if spec.JWKS == "" {
		return errs
	}
	at := path.Child("jwks")
	if spec.DiscoveryURL != "" || spec.JWKSURI != "" {
		errs = append(errs, field.Forbidden(at, "it does not go with discoveryURL or jwksURI: keys come from one place"))
	}
	if len(spec.JWKS) > maxKeySet {
		return append(errs, field.TooLong(at, "", maxKeySet))
	}
	if _, err := foreigntoken.Keys([]byte(spec.JWKS), maxKeys); err != nil {
		errs = append(errs, field.Invalid(at, "<omitted>", err.Error()))
	}
	if private(spec.JWKS) {
		errs = append(errs, field.Invalid(at, "<omitted>", "it has a private or symmetric key, which belongs nowhere but to the issuer: leave it out, and replace it there"))
	}
	return errs
}

func validateURI(uri string, path *field.Path) field.ErrorList {
	parsed, err := url.Parse(uri)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, uri, err.Error())}
	case parsed.Scheme != "https" || parsed.Host == "":
		return field.ErrorList{field.Invalid(path, uri, "URL scheme must be https")}
	case parsed.User != nil:
		return field.ErrorList{field.Invalid(path, uri, "URL must not contain a username or password")}
	}
	return nil
}

// private reports whether a key set has a member of a private or symmetric key (RFC 7518 section 6).
func private(jwks string) bool {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if json.Unmarshal([]byte(jwks), &set) != nil {
		return false
	}
	return slices.ContainsFunc(set.Keys, func(key map[string]any) bool { return key["d"] != nil || key["k"] != nil })
}

// validateTenant checks the audiences of a tenant.
func validateTenant(spec *v1alpha1.TrustedIssuerSpec, path *field.Path) (errs field.ErrorList) {
	if spec.Tenant == nil {
		return nil
	}
	at := path.Child("tenant", "audiences")
	if len(spec.Tenant.Audiences) == 0 {
		return field.ErrorList{field.Required(at, "name the audiences that a review asks for, or leave the tenant out")}
	}
	seen := map[string]bool{}
	for i, audience := range spec.Tenant.Audiences {
		switch {
		case audience == "":
			errs = append(errs, field.Required(at.Index(i), ""))
		case seen[audience]:
			errs = append(errs, field.Duplicate(at.Index(i), audience))
		}
		seen[audience] = true
	}
	return errs
}

// authenticatorOf returns a spec as the library's authenticator takes it. For a cluster it has mappings that give the same user
// as the preset, so that rules see that user.
func authenticatorOf(spec *v1alpha1.TrustedIssuerSpec) apiserver.JWTAuthenticator {
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
	switch {
	case spec.Kubernetes != nil:
		mappings = clusterMappings(spec.Kubernetes.Prefix)
	case mappings == nil:
		return made
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

// clusterMappings are the mappings of the service account tokens of a cluster.
func clusterMappings(prefix string) *v1alpha1.ClaimMappings {
	quoted := fmt.Sprintf("%q", prefix)
	own := "claims['kubernetes.io']"
	return &v1alpha1.ClaimMappings{
		Username: v1alpha1.PrefixedClaimOrExpression{Expression: quoted + " + claims.sub"},
		Groups: v1alpha1.PrefixedClaimOrExpression{Expression: fmt.Sprintf(
			"[%s + 'system:serviceaccounts', %s + 'system:serviceaccounts:' + string(%s['namespace'])]", quoted, quoted, own)},
		UID: v1alpha1.ClaimOrExpression{Expression: "string(" + own + "['serviceaccount']['uid'])"},
	}
}
