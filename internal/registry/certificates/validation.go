package certificates

import (
	"bytes"
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/registry"
)

var (
	specPath       = field.NewPath("spec")
	conditionsPath = field.NewPath("status", "conditions")
	// certificatePath is the path of a certificate in errors, which never show it.
	certificatePath = field.NewPath("status", "certificate")
)

// minExpirationSeconds is the shortest duration that can be asked for.
const minExpirationSeconds = 600

// usages are all that a request can ask for, in the order in which errors list them.
var usages = []certificatesv1.KeyUsage{
	certificatesv1.UsageAny, certificatesv1.UsageCertSign, certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning,
	certificatesv1.UsageContentCommitment, certificatesv1.UsageCRLSign, certificatesv1.UsageDataEncipherment,
	certificatesv1.UsageDecipherOnly, certificatesv1.UsageDigitalSignature, certificatesv1.UsageEmailProtection,
	certificatesv1.UsageEncipherOnly, certificatesv1.UsageIPsecEndSystem, certificatesv1.UsageIPsecTunnel,
	certificatesv1.UsageIPsecUser, certificatesv1.UsageKeyAgreement, certificatesv1.UsageKeyEncipherment,
	certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC, certificatesv1.UsageOCSPSigning,
	certificatesv1.UsageSMIME, certificatesv1.UsageServerAuth, certificatesv1.UsageSigning, certificatesv1.UsageTimestamping,
}

// anyName accepts every name. That it fits into a path is checked for all kinds.
func anyName(string, bool) []string { return nil }

// validate checks a request, except for the mistakes that are tolerated.
func validate(csr *certificatesv1.CertificateSigningRequest, tolerated tolerance) field.ErrorList {
	errs := registry.ValidateMetadata(&csr.ObjectMeta, false, anyName)
	if err := checkRequest(csr.Spec.Request); err != nil {
		errs = append(errs, field.Invalid(specPath.Child("request"), csr.Spec.Request, err.Error()))
	}
	errs = append(errs, validateUsages(csr.Spec.Usages, tolerated)...)
	signer := specPath.Child("signerName")
	if csr.Spec.SignerName == certificates.LegacySigner && !tolerated.legacySigner {
		errs = append(errs, field.Invalid(signer, csr.Spec.SignerName, "the legacy signerName is not allowed via this API version"))
	} else {
		errs = append(errs, validateSignerName(signer, csr.Spec.SignerName)...)
	}
	if wish := csr.Spec.ExpirationSeconds; wish != nil && *wish < minExpirationSeconds {
		errs = append(errs, field.Invalid(specPath.Child("expirationSeconds"), *wish, "may not specify a duration less than 600 seconds (10 minutes)"))
	}
	errs = append(errs, validateConditions(csr.Status.Conditions, tolerated)...)
	if !tolerated.certificate {
		if err := checkCertificate(csr.Status.Certificate); err != nil {
			errs = append(errs, field.Invalid(certificatePath, "<certificate data>", err.Error()))
		}
	}
	return errs
}

// checkRequest checks that a request is PKCS#10 in PEM, signed with its own key.
func checkRequest(encoded []byte) error {
	request, err := certificates.Parse(encoded)
	if err != nil {
		return err
	}
	return certificates.CheckSignature(request)
}

func validateUsages(asked []certificatesv1.KeyUsage, tolerated tolerance) field.ErrorList {
	path := specPath.Child("usages")
	if len(asked) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	for i, usage := range asked {
		if !tolerated.unknownUsages && !slices.Contains(usages, usage) && len(errs) < registry.MaxErrors {
			errs = append(errs, field.NotSupported(path.Index(i), usage, usages))
		}
	}
	seen := sets.New[certificatesv1.KeyUsage]()
	for i, usage := range asked {
		if !tolerated.repeatedUsages && seen.Has(usage) && len(errs) < registry.MaxErrors {
			errs = append(errs, field.Duplicate(path.Index(i), usage))
		}
		seen.Insert(usage)
	}
	return errs
}

// decisions are the conditions that only certificatesigningrequests/approval adds.
var decisions = []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied}

// validateUpdate checks an update after the fields that it can't change were put back. mayDecide says whether it may add an
// approval or a denial.
func validateUpdate(csr, old *certificatesv1.CertificateSigningRequest, mayDecide bool) field.ErrorList {
	errs := validate(csr, toleranceOf(csr, old))
	for _, kind := range append(slices.Clone(decisions), certificatesv1.CertificateFailed) {
		if len(indices(csr, kind)) < len(indices(old, kind)) {
			errs = append(errs, field.Forbidden(conditionsPath, fmt.Sprintf("updates may not remove a condition of type %q", kind)))
		}
	}
	for _, kind := range decisions {
		if !mayDecide && len(indices(csr, kind)) > len(indices(old, kind)) {
			errs = append(errs, field.Forbidden(conditionsPath, fmt.Sprintf("updates may not add a condition of type %q", kind)))
		}
	}
	if len(old.Status.Certificate) > 0 && !bytes.Equal(csr.Status.Certificate, old.Status.Certificate) {
		errs = append(errs, field.Forbidden(certificatePath, "updates may not modify existing certificate content"))
	}
	return append(errs, registry.ValidateMetadataUpdate(&csr.ObjectMeta, &old.ObjectMeta)...)
}
