package mintmark

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/revocation"
)

const (
	// maxText bounds the texts of a spec, and maxReason the reason.
	maxText, maxReason = 2048, 1024
)

// withoutToken refuses an object that repeats its token outside spec.token: all else is stored and shown. It drops the copy that
// kubectl apply puts into an annotation. The error names nothing of the object, since its very name may be the token.
func withoutToken(obj *mintmarkv1alpha1.TokenRevocation) error {
	token := obj.Spec.Token
	if token == "" {
		return nil
	}
	if strings.ContainsAny(token, " \t\r\n") {
		return apierrors.NewBadRequest("spec.token is no token: it has white space in it")
	}
	delete(obj.Annotations, corev1.LastAppliedConfigAnnotation)
	texts := []string{obj.Name, obj.GenerateName, obj.Spec.Reason}
	for key, value := range obj.Annotations {
		texts = append(texts, key, value)
	}
	for key, value := range obj.Labels {
		texts = append(texts, key, value)
	}
	texts = append(texts, obj.Finalizers...)
	for _, entry := range obj.ManagedFields {
		texts = append(texts, entry.Manager)
	}
	if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, token) }) {
		return apierrors.NewBadRequest("the token stands outside spec.token as well, where it would be stored: leave it out there")
	}
	return nil
}

// alternatives are the fields of which a spec has one, and whether it has it.
func alternatives(spec *mintmarkv1alpha1.TokenRevocationSpec) (given []string) {
	for _, one := range []struct {
		name string
		has  bool
	}{
		{"credentialID", spec.CredentialID != ""},
		{"token", spec.Token != ""},
		{"tokenHash", spec.TokenHash != ""},
		{"serviceAccount", spec.ServiceAccount != nil},
		{"subject", spec.Subject != nil},
		{"keyID", spec.KeyID != ""},
		{"clientCertificate", spec.ClientCertificate != nil},
	} {
		if one.has {
			given = append(given, one.name)
		}
	}
	return given
}

// validateChoice checks that a spec has one of the alternatives, with what belongs to it.
func validateChoice(spec *mintmarkv1alpha1.TokenRevocationSpec) (errs field.ErrorList) {
	given := alternatives(spec)
	switch {
	case len(given) > 1:
		errs = append(errs, field.Forbidden(specPath, fmt.Sprintf("one of %s is allowed: make a revocation for each", strings.Join(given, ", "))))
	case len(given) == 0 && spec.IssuedBefore == nil:
		errs = append(errs, field.Required(specPath, "one of credentialID, token, tokenHash, serviceAccount, subject, keyID, clientCertificate; or issuedBefore alone, for all tokens"))
	}
	one := spec.CredentialID != "" || spec.Token != "" || spec.TokenHash != ""
	if one && spec.IssuedBefore != nil {
		errs = append(errs, field.Forbidden(specPath.Child("issuedBefore"), "it goes with serviceAccount, subject, keyID or clientCertificate, or stands alone"))
	}
	if spec.Issuer != "" && spec.CredentialID == "" && spec.KeyID == "" {
		errs = append(errs, field.Forbidden(specPath.Child("issuer"), "it goes with credentialID or keyID"))
	}
	return errs
}

// replaceToken puts the credential id and issuer of the token, or its hash, in its place.
func (r *tokenRevocations) replaceToken(spec *mintmarkv1alpha1.TokenRevocationSpec) {
	if spec.Token == "" {
		return
	}
	if says := revocation.Read(spec.Token); says.ID != "" {
		spec.CredentialID, spec.Issuer = says.ID, says.Issuer
	} else {
		hash := revocation.Hash(spec.Token)
		spec.TokenHash = hex.EncodeToString(hash[:])
	}
	spec.Token = ""
}

// normalize writes a spec in its one form: ids without the prefix that they have elsewhere, this server as the first of its issuers
// beside a key id and as none beside a credential id, and an instant of whole seconds. An instant is rounded up, so that it covers
// what was issued just before it.
func normalize(spec *mintmarkv1alpha1.TokenRevocationSpec, issuers []string) {
	spec.CredentialID = strings.TrimPrefix(spec.CredentialID, revocation.IDPrefix)
	if slices.Contains(issuers, spec.Issuer) {
		spec.Issuer = ""
		if spec.KeyID != "" {
			spec.Issuer = issuers[0]
		}
	}
	if spec.Issuer == revocation.BareGoogle {
		spec.Issuer = revocation.Google
	}
	spec.TokenHash = strings.ToLower(spec.TokenHash)
	if spec.IssuedBefore != nil {
		up := roundUp(spec.IssuedBefore.Time)
		spec.IssuedBefore = &up
	}
}

// roundUp returns the first whole second that is not before an instant.
func roundUp(t time.Time) metav1.Time {
	second := t.Truncate(time.Second)
	if second.Before(t) {
		second = second.Add(time.Second)
	}
	return metav1.NewTime(second)
}

// defaultInstant has a spec without an instant cover what was issued until now, and refuses one that is later.
func defaultInstant(spec *mintmarkv1alpha1.TokenRevocationSpec, now time.Time) *field.Error {
	latest := roundUp(now)
	switch {
	case spec.IssuedBefore == nil && (spec.ServiceAccount != nil || spec.Subject != nil || spec.KeyID != "" || spec.ClientCertificate != nil):
		spec.IssuedBefore = &latest
	case spec.IssuedBefore != nil && spec.IssuedBefore.After(latest.Time):
		return field.Invalid(specPath.Child("issuedBefore"), spec.IssuedBefore.UTC().Format(time.RFC3339),
			"is in the future: this server's clock says "+now.UTC().Format(time.RFC3339)+"; leave it out to cover what was issued until now")
	}
	return nil
}

// validateSpec checks a spec whose token has been replaced.
func validateSpec(spec *mintmarkv1alpha1.TokenRevocationSpec) field.ErrorList {
	errs := validateChoice(spec)
	for _, text := range []struct {
		name, value string
		most        int
	}{
		{"credentialID", spec.CredentialID, maxText},
		{"issuer", spec.Issuer, maxText},
		{"keyID", spec.KeyID, maxText},
		{"reason", spec.Reason, maxReason},
	} {
		errs = append(errs, validateText(specPath.Child(text.name), text.value, text.most)...)
	}
	if decoded, err := hex.DecodeString(spec.TokenHash); spec.TokenHash != "" && (err != nil || len(decoded) != len(revocation.Hash(""))) {
		errs = append(errs, field.Forbidden(specPath.Child("tokenHash"), "must be a SHA-256 in hexadecimal, which has 64 digits"))
	}
	if account := spec.ServiceAccount; account != nil {
		path := specPath.Child("serviceAccount")
		errs = append(errs, validateReference(path.Child("namespace"), account.Namespace, validation.ValidateNamespaceName)...)
		errs = append(errs, validateReference(path.Child("name"), account.Name, validation.ValidateServiceAccountName)...)
	}
	if subject := spec.Subject; subject != nil {
		path := specPath.Child("subject")
		for name, value := range map[string]string{"issuer": subject.Issuer, "subject": subject.Subject} {
			if value == "" {
				errs = append(errs, field.Required(path.Child(name), ""))
			}
			errs = append(errs, validateText(path.Child(name), value, maxText)...)
		}
	}
	if of := spec.ClientCertificate; of != nil {
		path := specPath.Child("clientCertificate", "username")
		if of.Username == "" {
			errs = append(errs, field.Required(path, ""))
		}
		errs = append(errs, validateText(path, of.Username, maxText)...)
	}
	return errs
}

func validateText(path *field.Path, value string, most int) field.ErrorList {
	switch {
	case len(value) > most:
		return field.ErrorList{field.TooLong(path, "", most)}
	case !utf8.ValidString(value):
		return field.ErrorList{field.Forbidden(path, "must be valid UTF-8")}
	}
	return nil
}

func validateReference(path *field.Path, value string, check validation.ValidateNameFunc) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return registry.Problems(path, value, func(name string) []string { return check(name, false) })
}

// coversAccount reports whether a spec is about the tokens of one account.
func coversAccount(spec *mintmarkv1alpha1.TokenRevocationSpec) bool {
	return spec.ServiceAccount != nil && len(alternatives(spec)) == 1
}
