package certificates

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

// LegacySigner is the signer of the requests of old versions that named none. It has no rules. The API takes no new requests for it;
// stores of old servers may hold some.
const LegacySigner = "kubernetes.io/legacy-unknown"

// nodePrefix begins the user names of nodes.
const nodePrefix = "system:node:"

// rules are the checks of each signer.
var rules = map[string]func(*x509.CertificateRequest, []certificatesv1.KeyUsage) error{
	certificatesv1.KubeAPIServerClientSignerName:        checkClient,
	certificatesv1.KubeAPIServerClientKubeletSignerName: checkKubeletClient,
	certificatesv1.KubeletServingSignerName:             checkKubeletServing,
	LegacySigner:                                        func(*x509.CertificateRequest, []certificatesv1.KeyUsage) error { return nil },
}

// Check returns the first rule of its signer that a waiting request breaks, in kube-controller-manager's words.
func Check(csr *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest) error {
	return rules[csr.Spec.SignerName](request, csr.Spec.Usages)
}

// Waiting reports whether a request waits for one of the signers here: it is approved, neither denied nor failed, and has no
// certificate.
func Waiting(csr *certificatesv1.CertificateSigningRequest) bool {
	if rules[csr.Spec.SignerName] == nil || len(csr.Status.Certificate) > 0 || Has(csr, certificatesv1.CertificateApproved) == nil || Has(csr, certificatesv1.CertificateDenied) != nil {
		return false
	}
	// Old servers stored conditions without a status.
	failed := Has(csr, certificatesv1.CertificateFailed)
	return failed == nil || failed.Status != "" && failed.Status != corev1.ConditionTrue
}

var (
	errOrganization = errors.New("subject organization is not system:nodes")
	errCommonName   = errors.New("subject common name does not begin with system:node:")
	errDNSNames     = errors.New("DNS subjectAltNames are not allowed")
	errEmails       = errors.New("Email subjectAltNames are not allowed")
	errIPs          = errors.New("IP subjectAltNames are not allowed")
	errURIs         = errors.New("URI subjectAltNames are not allowed")
	errNoName       = errors.New("DNS or IP subjectAltName is required")
	errNoClientAuth = errors.New("missing required usage for client certificate: client auth")
	errMasters      = errors.New("use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed")
)

// checkClient has the rules of certificates of any user. The group system:masters, which authorization does not limit, is refused
// once more here: the request may have come to the store without the admission plugin that refuses it.
func checkClient(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	for _, usage := range usages {
		switch usage {
		case certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageClientAuth:
		default:
			return fmt.Errorf("invalid usage for client certificate: %s", usage) //nolint:err113 // the text is kube-controller-manager's
		}
	}
	switch {
	case !slices.Contains(usages, certificatesv1.UsageClientAuth):
		return errNoClientAuth
	case slices.Contains(request.Subject.Organization, user.SystemPrivilegedGroup):
		return errMasters
	}
	return nil
}

// checkKubeletClient has the rules of the certificates by which nodes are authenticated.
func checkKubeletClient(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(request.Subject.Organization, []string{user.NodesGroup}):
		return errOrganization
	case len(request.DNSNames) > 0:
		return errDNSNames
	case len(request.EmailAddresses) > 0:
		return errEmails
	case len(request.IPAddresses) > 0:
		return errIPs
	case len(request.URIs) > 0:
		return errURIs
	case !strings.HasPrefix(request.Subject.CommonName, nodePrefix):
		return errCommonName
	}
	return checkUsages(usages, certificatesv1.UsageClientAuth)
}

// checkKubeletServing has the rules of the certificates that kubelets serve with.
func checkKubeletServing(request *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(request.Subject.Organization, []string{user.NodesGroup}):
		return errOrganization
	case len(request.DNSNames) == 0 && len(request.IPAddresses) == 0:
		return errNoName
	case len(request.EmailAddresses) > 0:
		return errEmails
	case len(request.URIs) > 0:
		return errURIs
	}
	if err := checkUsages(usages, certificatesv1.UsageServerAuth); err != nil {
		return err
	}
	if !strings.HasPrefix(request.Subject.CommonName, nodePrefix) {
		return errCommonName
	}
	return nil
}

// checkUsages demands a digital signature and one purpose. The encipherment of keys, which only RSA has, may be among the usages.
func checkUsages(usages []certificatesv1.KeyUsage, purpose certificatesv1.KeyUsage) error {
	all := sortedSet([]certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, purpose})
	withoutRSA := slices.DeleteFunc(slices.Clone(all), func(u certificatesv1.KeyUsage) bool { return u == certificatesv1.UsageKeyEncipherment })
	if given := sortedSet(usages); !slices.Equal(given, all) && !slices.Equal(given, withoutRSA) {
		return fmt.Errorf("usages did not match %v", all) //nolint:err113 // the text is kube-controller-manager's
	}
	return nil
}

func sortedSet(usages []certificatesv1.KeyUsage) []certificatesv1.KeyUsage {
	set := slices.Clone(usages)
	slices.Sort(set)
	return slices.Compact(set)
}
