package certificates

import (
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/certificates"
)

// A mistake that the stored object has doesn't keep it from being changed. A new one is refused.
func TestOldMistakesAreTolerated(t *testing.T) {
	t.Parallel()
	condition := func(kind certificatesv1.RequestConditionType) certificatesv1.CertificateSigningRequestCondition {
		return certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: corev1.ConditionTrue}
	}
	const approved, denied = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied
	for name, test := range map[string]struct {
		mistake func(*certificatesv1.CertificateSigningRequest)
		refusal string
	}{
		"legacy signer": {func(c *certificatesv1.CertificateSigningRequest) { c.Spec.SignerName = certificates.LegacySigner }, "legacy signerName"},
		"unknown usage": {func(c *certificatesv1.CertificateSigningRequest) { c.Spec.Usages = []certificatesv1.KeyUsage{"x"} }, "Unsupported value"},
		"repeated usages": {func(c *certificatesv1.CertificateSigningRequest) {
			c.Spec.Usages = append(c.Spec.Usages, c.Spec.Usages...)
		}, "Duplicate value"},
		"certificate": {func(c *certificatesv1.CertificateSigningRequest) { c.Status.Certificate = []byte("x") }, "must contain at least one"},
		"empty condition": {func(c *certificatesv1.CertificateSigningRequest) {
			c.Status.Conditions = append(c.Status.Conditions, condition(""))
		}, "type: Required value"},
		"repeated conditions": {func(c *certificatesv1.CertificateSigningRequest) {
			c.Status.Conditions = append(c.Status.Conditions, condition("a"), condition("a"))
		}, "Duplicate value"},
		"both decisions": {func(c *certificatesv1.CertificateSigningRequest) {
			c.Status.Conditions = append(c.Status.Conditions, condition(approved), condition(denied))
		}, "mutually exclusive"},
	} {
		good := &certificatesv1.CertificateSigningRequest{
			ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "1"},
			Spec:       certificatesv1.CertificateSigningRequestSpec{SignerName: "example.com/x", Usages: []certificatesv1.KeyUsage{"any"}},
		}
		bad := good.DeepCopy()
		test.mistake(bad)
		if errs := texts(bad, good); !strings.Contains(errs, test.refusal) {
			t.Errorf("%s: a new one: %s; want %s", name, errs, test.refusal)
		}
		changed := bad.DeepCopy()
		changed.Labels = map[string]string{"a": "b"}
		if errs := texts(changed, bad); errs != "" {
			t.Errorf("%s: an old one: %s", name, errs)
		}
	}
}

// texts validates an update and returns all errors but that about the request, which is missing here.
func texts(csr, old *certificatesv1.CertificateSigningRequest) string {
	var texts []string
	for _, err := range validateUpdate(csr, old, true) {
		if err.Field != "spec.request" {
			texts = append(texts, err.Error())
		}
	}
	return strings.Join(texts, "\n")
}
