package mintmark

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/trustedissuer"
)

// Bounds of a spec. Thousands of issuers are in memory, and a request of 1.5 MiB is the most that etcd takes.
const (
	maxSpec        = 512 << 10
	maxAuthorities = 64 << 10
	maxKeySet      = 256 << 10
	maxAudiences   = 64
	maxRules       = 64
	maxExpression  = 16 << 10
	maxPrefix      = 253
	maxKeyIDs      = 1000
	// maxRemembered is the longest time for which an answer of the live check may count.
	maxRemembered = 10 * time.Minute
)

// validateIssuer checks the spec of an issuer by itself.
func validateIssuer(spec *mintmarkv1alpha1.TrustedIssuerSpec) field.ErrorList {
	errs := validateIssuerSizes(spec)
	if text, err := json.Marshal(spec); err != nil || len(text) > maxSpec {
		errs = append(errs, field.TooLong(specPath, "", maxSpec))
	}
	if len(errs) > 0 {
		return errs // what is too long is not parsed, nor repeated in an error
	}
	if errs = validateSecrets(spec); len(errs) > 0 {
		return errs // other errors repeat values
	}
	errs = trustedissuer.Validate(spec, nil)
	if spec.JWKS != "" && spec.CertificateAuthority != "" {
		errs = append(errs, field.Forbidden(specPath.Child("certificateAuthority"), "does not go with jwks, with which no address is called: leave one of them out"))
	}
	return append(errs, validateLiveCheck(spec)...)
}

// validateIssuerSizes checks how long and how many the parts of a spec are.
func validateIssuerSizes(spec *mintmarkv1alpha1.TrustedIssuerSpec) (errs field.ErrorList) {
	text := func(path *field.Path, value string, most int) {
		errs = append(errs, validateText(path, value, most)...)
	}
	count := func(path *field.Path, has, most int) {
		if has > most {
			errs = append(errs, field.TooMany(path, has, most))
		}
	}
	text(specPath.Child("url"), spec.URL, maxText)
	text(specPath.Child("discoveryURL"), spec.DiscoveryURL, maxText)
	text(specPath.Child("certificateAuthority"), spec.CertificateAuthority, maxAuthorities)
	text(specPath.Child("jwksURI"), spec.JWKSURI, maxText)
	text(specPath.Child("jwks"), spec.JWKS, maxKeySet)
	count(specPath.Child("audiences"), len(spec.Audiences), maxAudiences)
	for i, audience := range spec.Audiences {
		text(specPath.Child("audiences").Index(i), audience, maxText)
	}
	count(specPath.Child("algorithms"), len(spec.Algorithms), len(oidc.AllValidSigningAlgorithms()))
	if spec.Tenant != nil {
		path := specPath.Child("tenant", "audiences")
		count(path, len(spec.Tenant.Audiences), maxAudiences)
		for i, audience := range spec.Tenant.Audiences {
			text(path.Index(i), audience, maxText)
		}
	}
	if spec.Kubernetes != nil {
		text(specPath.Child("kubernetes", "prefix"), spec.Kubernetes.Prefix, maxPrefix)
	}
	return append(errs, validateRuleSizes(spec)...)
}

// validateRuleSizes does so for rules and mappings.
func validateRuleSizes(spec *mintmarkv1alpha1.TrustedIssuerSpec) (errs field.ErrorList) {
	texts := func(path *field.Path, values ...string) {
		for _, value := range values {
			errs = append(errs, validateText(path, value, maxExpression)...)
		}
	}
	count := func(path *field.Path, has int) {
		if has > maxRules {
			errs = append(errs, field.TooMany(path, has, maxRules))
		}
	}
	claims, users := specPath.Child("claimValidationRules"), specPath.Child("userValidationRules")
	count(claims, len(spec.ClaimValidationRules))
	for i, rule := range spec.ClaimValidationRules {
		texts(claims.Index(i), rule.Claim, rule.RequiredValue, rule.Expression, rule.Message)
	}
	count(users, len(spec.UserValidationRules))
	for i, rule := range spec.UserValidationRules {
		texts(users.Index(i), rule.Expression, rule.Message)
	}
	if m := spec.ClaimMappings; m != nil {
		path := specPath.Child("claimMappings")
		for name, one := range map[string]mintmarkv1alpha1.PrefixedClaimOrExpression{"username": m.Username, "groups": m.Groups} {
			texts(path.Child(name), one.Claim, one.Expression)
			if one.Prefix != nil {
				errs = append(errs, validateText(path.Child(name, "prefix"), *one.Prefix, maxPrefix)...)
			}
		}
		texts(path.Child("uid"), m.UID.Claim, m.UID.Expression)
		count(path.Child("extra"), len(m.Extra))
		for i, mapping := range m.Extra {
			texts(path.Child("extra").Index(i), mapping.Key, mapping.ValueExpression)
		}
	}
	return errs
}

// validateSecrets refuses secrets, which everybody who reads the object would have. No error repeats them.
func validateSecrets(spec *mintmarkv1alpha1.TrustedIssuerSpec) (errs field.ErrorList) {
	if strings.Contains(spec.CertificateAuthority, privateMarker) {
		errs = append(errs, field.Forbidden(specPath.Child("certificateAuthority"), "holds a private key: consider it leaked, and put certificates alone here"))
	}
	for name, address := range map[string]string{"url": spec.URL, "discoveryURL": spec.DiscoveryURL, "jwksURI": spec.JWKSURI} {
		if parsed, err := url.Parse(address); err != nil || parsed.User != nil {
			errs = append(errs, field.Forbidden(specPath.Child(name), "must be https://host or https://host/path, without a username or password"))
		}
	}
	var set any
	if json.Unmarshal([]byte(spec.JWKS), &set) != nil {
		return errs
	}
	if member := privateMember(set); member != "" {
		errs = append(errs, field.Forbidden(specPath.Child("jwks"), "holds a private or symmetric key (a member "+member+"): consider the key leaked, and put public keys alone here"))
	}
	return errs
}

// privateMembers are the members of private and symmetric keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1, RFC 8037 section 2).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// privateMember returns a member of a private or symmetric key that stands anywhere in a value; "" if there is none.
func privateMember(value any) string {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if slices.Contains(privateMembers, strings.ToLower(name)) {
				return strings.ToLower(name)
			}
			if found := privateMember(inner); found != "" {
				return found
			}
		}
	case []any:
		for _, inner := range value {
			if found := privateMember(inner); found != "" {
				return found
			}
		}
	}
	return ""
}

func validateLiveCheck(spec *mintmarkv1alpha1.TrustedIssuerSpec) (errs field.ErrorList) {
	check, path := spec.LiveCheck, specPath.Child("liveCheck")
	if check == nil {
		return nil
	}
	if spec.Kubernetes == nil {
		errs = append(errs, field.Forbidden(path, "goes with kubernetes: a cluster is asked, which knows its service account tokens"))
	}
	secret := path.Child("kubeconfigSecret")
	errs = append(errs, validateReference(secret.Child("namespace"), check.KubeconfigSecret.Namespace, validation.ValidateNamespaceName)...)
	errs = append(errs, validateReference(secret.Child("name"), check.KubeconfigSecret.Name, validation.NameIsDNSSubdomain)...)
	if staleness := check.MaxStaleness; staleness != nil && (staleness.Duration < 0 || staleness.Duration > maxRemembered) {
		errs = append(errs, field.Invalid(path.Child("maxStaleness"), staleness.Duration.String(), "must be between 0s (the cluster is asked in every review) and "+maxRemembered.String()))
	}
	if check.OnFailure != "" {
		errs = append(errs, registry.OneOf(path.Child("onFailure"), check.OnFailure, mintmarkv1alpha1.LiveCheckRefuse, mintmarkv1alpha1.LiveCheckAccept)...)
	}
	return errs
}

// validateIssuerStatus checks what a server wrote about an issuer.
func validateIssuerStatus(status *mintmarkv1alpha1.TrustedIssuerStatus) field.ErrorList {
	path := field.NewPath("status")
	errs := metav1validation.ValidateConditions(status.Conditions, path.Child("conditions"))
	if len(status.KeyIDs) > maxKeyIDs {
		errs = append(errs, field.TooMany(path.Child("keyIDs"), len(status.KeyIDs), maxKeyIDs))
	}
	return errs
}
