package certificates

import (
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/util/cert"
)

const (
	// keepDone is how long requests are kept after they were denied or failed, or were approved and got a certificate.
	keepDone = time.Hour
	// keepWaiting is how long a request may wait: for its approval, and again for its certificate.
	keepWaiting = 24 * time.Hour
)

// End returns the instant after which a request is removed; zero if it is kept.
func End(csr *certificatesv1.CertificateSigningRequest) time.Time {
	var end time.Time
	at := func(since time.Time, keep time.Duration) {
		if since.IsZero() {
			return // a condition without a time does not age
		}
		if sum := since.Add(keep); end.IsZero() || sum.Before(end) {
			end = sum
		}
	}
	issued := len(csr.Status.Certificate) > 0
	for i := range csr.Status.Conditions {
		condition := &csr.Status.Conditions[i]
		updated := condition.LastUpdateTime.Time
		switch {
		case condition.Type == certificatesv1.CertificateApproved && issued:
			at(updated, keepDone)
			at(expiry(csr.Status.Certificate), 0)
		case condition.Type == certificatesv1.CertificateApproved:
			at(updated, keepWaiting)
		case condition.Type == certificatesv1.CertificateDenied, condition.Type == certificatesv1.CertificateFailed:
			at(updated, keepDone)
		}
	}
	if len(csr.Status.Conditions) == 0 {
		at(csr.CreationTimestamp.Time, keepWaiting)
	}
	return end
}

// expiry is the end of the first certificate, or zero if there is none that can be read.
func expiry(encoded []byte) time.Time {
	chain, err := cert.ParseCertsPEM(encoded)
	if err != nil {
		return time.Time{}
	}
	return chain[0].NotAfter
}
