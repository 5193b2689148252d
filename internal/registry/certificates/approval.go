package certificates

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// approvalStrategy serves certificatesigningrequests/approval, through which conditions change, and metadata.
type approvalStrategy struct{ strategy }

// PrepareForUpdate keeps the spec and the certificate.
func (approvalStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	csr, before := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	csr.Spec, csr.Status.Certificate = before.Spec, before.Status.Certificate
	setTimes(csr.Status.Conditions, before.Status.Conditions)
}

func (approvalStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validateUpdate(obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest), true)
}

func (approvalStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return resetFields(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("status", "certificate"))
}

// setTimes fills in the times that a client left out of conditions. A condition that has the type and status of a stored one
// keeps its transition time.
func setTimes(conditions, stored []certificatesv1.CertificateSigningRequestCondition) {
	now := metav1.Now()
	for i := range conditions {
		condition := &conditions[i]
		if condition.LastUpdateTime.IsZero() {
			condition.LastUpdateTime = now
		}
		if condition.LastTransitionTime.IsZero() {
			condition.LastTransitionTime = transition(condition, stored, now)
		}
	}
}

// transition returns since when a condition has its status.
func transition(condition *certificatesv1.CertificateSigningRequestCondition, stored []certificatesv1.CertificateSigningRequestCondition, now metav1.Time) metav1.Time {
	for i := range stored {
		same := stored[i].Type == condition.Type && stored[i].Status == condition.Status
		if same && !stored[i].LastTransitionTime.IsZero() {
			return stored[i].LastTransitionTime
		}
	}
	return now
}
