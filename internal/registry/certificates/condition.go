package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/cert"

	"github.com/mintmark/mintmark/internal/registry"
)

var (
	anyStatus = []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
	// onlyTrue is for the conditions that count by being there: an approval, a denial and a failure.
	onlyTrue = []corev1.ConditionStatus{corev1.ConditionTrue}
)

func validateConditions(conditions []certificatesv1.CertificateSigningRequestCondition, tolerated tolerance) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[certificatesv1.RequestConditionType]()
	for i := range conditions {
		path, condition := conditionsPath.Index(i), &conditions[i]
		if condition.Type == "" && !tolerated.emptyConditions {
			errs = append(errs, field.Required(path.Child("type"), ""))
		}
		errs = append(errs, validateConditionStatus(path.Child("status"), condition)...)
		if !tolerated.bothDecisions && excluded(condition.Type, seen) {
			errs = append(errs, field.Invalid(conditionsPath, condition.Type, "Approved and Denied conditions are mutually exclusive"))
		}
		if seen.Has(condition.Type) && !tolerated.repeatedConditions {
			errs = append(errs, field.Duplicate(path.Child("type"), condition.Type))
		}
		seen.Insert(condition.Type)
	}
	return errs
}

func validateConditionStatus(path *field.Path, condition *certificatesv1.CertificateSigningRequestCondition) field.ErrorList {
	allowed := anyStatus
	switch condition.Type {
	case certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
		allowed = onlyTrue
	}
	return registry.OneOf(path, condition.Status, allowed...)
}

// excluded reports whether a condition can't stand beside those that were seen before it.
func excluded(kind certificatesv1.RequestConditionType, seen sets.Set[certificatesv1.RequestConditionType]) bool {
	switch kind {
	case certificatesv1.CertificateApproved:
		return seen.Has(certificatesv1.CertificateDenied)
	case certificatesv1.CertificateDenied:
		return seen.Has(certificatesv1.CertificateApproved)
	}
	return false
}

var (
	errNoCertificate    = errors.New("must contain at least one CERTIFICATE PEM block")
	errHeaders          = errors.New("no PEM block headers are permitted")
	errEmptyCertificate = errors.New("found CERTIFICATE PEM block containing 0 certificates")
)

// checkCertificate checks that an issued certificate is PEM of certificates and nothing else. No certificate is fine.
func checkCertificate(encoded []byte) error {
	for rest, blocks := encoded, 0; len(encoded) > 0; blocks++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil && blocks == 0 {
			return errNoCertificate
		}
		if block == nil {
			return nil
		}
		if err := checkBlock(block); err != nil {
			return err
		}
	}
	return nil
}

func checkBlock(block *pem.Block) error {
	if block.Type != cert.CertificateBlockType {
		return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type) //nolint:err113 // the text is the API's
	}
	if len(block.Headers) > 0 {
		return errHeaders
	}
	certificates, err := x509.ParseCertificates(block.Bytes)
	if err == nil && len(certificates) == 0 {
		return errEmptyCertificate
	}
	return err
}
