// Package certificates provides the REST storage of certificates.k8s.io: CertificateSigningRequest with its subresources
// approval and status.
//
// A request is stored with the identity of its requester, and only its metadata can be changed afterwards. Approvals and denials
// are written through approval, the certificate and a signer's failure through status. Validation errors are part of the API and
// have Kubernetes' text to the letter.
package certificates

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

const plural = "certificatesigningrequests"

// Storage returns the API group certificates.k8s.io.
func Storage(getter generic.RESTOptionsGetter) (registry.Group, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     certificatesv1.GroupName,
		Plural:    plural,
		Singular:  "certificatesigningrequest",
		NewObject: func() runtime.Object { return &certificatesv1.CertificateSigningRequest{} },
		NewList:   func() runtime.Object { return &certificatesv1.CertificateSigningRequestList{} },
		Strategy:  strategy{registry.ClusterStrategy},
		Table:     table,
		Attrs: registry.Selectable(func(csr *certificatesv1.CertificateSigningRequest, set fields.Set) {
			set["spec.signerName"] = csr.Spec.SignerName
		}),
	})
	if err != nil {
		return registry.Group{}, err
	}
	return registry.Group{Version: certificatesv1.SchemeGroupVersion, Resources: map[string]rest.Storage{
		plural:               &storage{store},
		plural + "/approval": registry.NewUntabledSubresource(store, approvalStrategy{strategy{registry.ClusterStrategy}}),
		plural + "/status":   newStatus(store),
	}}, nil
}

// storage serves requests.
type storage struct{ *genericregistry.Store }

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.ShortNamesProvider
	rest.SingularNameProvider
} = (*storage)(nil)

func (*storage) ShortNames() []string { return []string{"csr"} }
