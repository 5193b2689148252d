package certificates

import (
	"bytes"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mintmark/mintmark/internal/certificates"
)

// tolerance says which mistakes an update may have because the stored object has them: another server or an older version stored
// it. A new object has no tolerance.
type tolerance struct {
	legacySigner, unknownUsages, repeatedUsages        bool
	emptyConditions, repeatedConditions, bothDecisions bool
	certificate                                        bool
}

// toleranceOf returns what is tolerated in an update.
func toleranceOf(csr, old *certificatesv1.CertificateSigningRequest) tolerance {
	kinds := sets.New[certificatesv1.RequestConditionType]()
	for i := range old.Status.Conditions {
		kinds.Insert(old.Status.Conditions[i].Type)
	}
	return tolerance{
		legacySigner:       old.Spec.SignerName == certificates.LegacySigner,
		unknownUsages:      slices.ContainsFunc(old.Spec.Usages, func(usage certificatesv1.KeyUsage) bool { return !slices.Contains(usages, usage) }),
		repeatedUsages:     len(sets.New(old.Spec.Usages...)) < len(old.Spec.Usages),
		emptyConditions:    kinds.Has(""),
		repeatedConditions: len(kinds) < len(old.Status.Conditions),
		bothDecisions:      kinds.HasAll(decisions...),
		certificate:        bytes.Equal(csr.Status.Certificate, old.Status.Certificate) || checkCertificate(old.Status.Certificate) != nil,
	}
}
