package certificates

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mintmark/mintmark/internal/registry"
)

// newStatus returns certificatesigningrequests/status over the storage of requests.
func newStatus(store *genericregistry.Store) *registry.Subresource {
	counted := *store
	counted.BeginUpdate = registered().count
	return registry.NewSubresource(&counted, statusStrategy{strategy{registry.ClusterStrategy}})
}

// statusStrategy serves certificatesigningrequests/status, through which the certificate is set, and conditions other than an
// approval or a denial.
type statusStrategy struct{ strategy }

// PrepareForUpdate keeps the spec, and approvals and denials as they are stored.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	csr, before := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	csr.Spec = before.Spec
	for _, kind := range decisions {
		keepConditions(csr, before, kind)
	}
	setTimes(csr.Status.Conditions, before.Status.Conditions)
}

// keepConditions puts the stored conditions of a type in the place of those that were sent. If there are more or fewer of them,
// validation refuses the update.
func keepConditions(csr, before *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) {
	places, stored := indices(csr, kind), indices(before, kind)
	if len(places) != len(stored) {
		return
	}
	for i, place := range places {
		csr.Status.Conditions[place] = before.Status.Conditions[stored[i]]
	}
}

// indices returns where the conditions of a type stand.
func indices(csr *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) []int {
	var places []int
	for i := range csr.Status.Conditions {
		if csr.Status.Conditions[i].Type == kind {
			places = append(places, i)
		}
	}
	return places
}

func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return resetFields(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("status", "conditions"))
}
