package controller

import (
	"context"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/certificates"
)

// validationFailed is the reason why a signer refuses a request, as kube-controller-manager has it.
const validationFailed = "SignerValidationFailure"

// newSigningController makes the certificatesigningrequest-signing-controller. It signs the approved requests for the signers
// of kubernetes.io, and marks those that break a rule of their signer as failed.
func newSigningController(cfg Config) func(context.Context) {
	return newRequestController(cfg, func(record certificates.Record) bool { return record.Waiting }, certificates.Waiting, cfg.signRequest)
}

func (cfg Config) signRequest(ctx context.Context, csr *certificatesv1.CertificateSigningRequest) (time.Duration, error) {
	logger := requestLogger(ctx, csr)
	request, err := certificates.Parse(csr.Spec.Request)
	if err != nil {
		return 0, err
	}
	refused := certificates.Check(csr, request)
	if refused != nil {
		csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue, Reason: validationFailed, Message: refused.Error(),
		})
	} else {
		now := cfg.Now()
		if cfg.Certificates.Now != nil {
			now = cfg.Certificates.Now()
		}
		csr.Status.Certificate, err = cfg.Certificates.Authority(ctx, now).Sign(csr, request, cfg.Certificates.Longest, now)
		if err != nil {
			return 0, err
		}
	}
	if _, err := cfg.Client.CertificatesV1().CertificateSigningRequests().UpdateStatus(ctx, csr, metav1.UpdateOptions{}); err != nil {
		return 0, ignoreNotFound(err)
	}
	if refused != nil {
		logger.V(2).Info("A certificate signing request failed", "message", refused.Error())
	} else {
		logger.V(2).Info("Signed a certificate")
	}
	return 0, nil
}
