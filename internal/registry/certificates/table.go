package certificates

import (
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/registry"
)

// The descriptions of columns are those of the old version's fields, as upstream.
var (
	specDocs   = certificatesv1beta1.CertificateSigningRequestSpec{}.SwaggerDoc()
	statusDocs = certificatesv1beta1.CertificateSigningRequestStatus{}.SwaggerDoc()
)

var table = &registry.Table[*certificatesv1.CertificateSigningRequest]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.AgeColumn,
		registry.Column("SignerName", specDocs["signerName"]),
		registry.Column("Requestor", specDocs["request"]),
		registry.Column("RequestedDuration", specDocs["expirationSeconds"]),
		registry.Column("Condition", statusDocs["conditions"]),
	},
	Cells: func(csr *certificatesv1.CertificateSigningRequest) []any {
		return []any{
			csr.Name, registry.Age(csr.CreationTimestamp), csr.Spec.SignerName, csr.Spec.Username,
			registry.OrNone(requestedDuration(csr)), condition(csr),
		}
	},
}

// requestedDuration returns the duration that was asked for, in the short form that kubectl shows.
func requestedDuration(csr *certificatesv1.CertificateSigningRequest) string {
	if csr.Spec.ExpirationSeconds == nil {
		return ""
	}
	return duration.HumanDuration(time.Duration(*csr.Spec.ExpirationSeconds) * time.Second)
}

// condition returns the text of the column Condition.
func condition(csr *certificatesv1.CertificateSigningRequest) string {
	text := "Pending"
	switch {
	case certificates.Has(csr, certificatesv1.CertificateDenied) != nil:
		text = "Denied"
	case certificates.Has(csr, certificatesv1.CertificateApproved) != nil:
		text = "Approved"
	}
	if certificates.Has(csr, certificatesv1.CertificateFailed) != nil {
		text += ",Failed"
	}
	if len(csr.Status.Certificate) > 0 {
		text += ",Issued"
	}
	return text
}
