package certificates

import (
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Record is what is kept in memory of a request.
type Record struct {
	// Undecided and Waiting say what the functions of those names do.
	Undecided, Waiting bool
	// Removable is when the request can be removed; zero if it is kept.
	Removable time.Time
}

// RecordOf returns the record of a CertificateSigningRequest.
func RecordOf(obj runtime.Object) Record {
	csr := obj.(*certificatesv1.CertificateSigningRequest)
	record := Record{Undecided: Undecided(csr), Waiting: Waiting(csr)}
	record.Removable = End(csr)
	return record
}
