package certificates

import (
	"crypto/x509"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// Recognizer is a kind of request that is approved without a person if its requester has a permission.
type Recognizer struct {
	// Subresource of certificatesigningrequests is the one on which the requester needs the verb create.
	Subresource string
	// Message is that of the approval.
	Message string
}

// AutoApproved is the reason of an approval without a person.
const AutoApproved = "AutoApproved"

var (
	self = Recognizer{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."}
	node = Recognizer{"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."}
)

// Recognize returns the kinds that a request is of, in the order in which their permissions are asked for. The only requests
// that are recognized are those of a node's client certificate: a node's own, and any requester's.
func Recognize(csr *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest) []Recognizer {
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName || checkKubeletClient(request, csr.Spec.Usages) != nil {
		return nil
	}
	if csr.Spec.Username == request.Subject.CommonName {
		return []Recognizer{self, node}
	}
	return []Recognizer{node}
}

// Undecided reports whether a request waits to be approved or denied, and has no certificate.
func Undecided(csr *certificatesv1.CertificateSigningRequest) bool {
	return len(csr.Status.Certificate) == 0 &&
		Has(csr, certificatesv1.CertificateApproved) == nil && Has(csr, certificatesv1.CertificateDenied) == nil
}
