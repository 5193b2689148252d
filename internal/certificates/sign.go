package certificates

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/util/cert"
)

const (
	// shortest is the shortest life of a certificate.
	shortest = 10 * time.Minute
	// short lives don't lose Backdate at their end.
	short = 8 * time.Hour
	// serialBits bound the serial numbers.
	serialBits = 128
)

// Authority signs certificates.
type Authority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// Sign makes the certificate that a request asks for, in PEM, as of now. It lives for the duration that the request names, if that is
// shorter than longest, and ends with the authority at the latest. Of the request, the certificate has the subject, the
// alternative names and the key; its usages are those of the CertificateSigningRequest.
func (a Authority) Sign(csr *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest, longest time.Duration, now time.Time) ([]byte, error) {
	if err := CheckSignature(request); err != nil {
		return nil, fmt.Errorf("unable to verify certificate request signature: %w", err)
	}
	template := &x509.Certificate{
		Subject:        request.Subject,
		DNSNames:       request.DNSNames,
		IPAddresses:    request.IPAddresses,
		EmailAddresses: request.EmailAddresses,
		URIs:           request.URIs,
		// It is no authority, and says so.
		BasicConstraintsValid: true,
	}
	var err error
	if template.KeyUsage, template.ExtKeyUsage, err = keyUsages(csr.Spec.Usages); err != nil {
		return nil, err
	}
	if template.NotBefore, template.NotAfter, err = validity(life(csr.Spec.ExpirationSeconds, longest), now, a.Certificate.NotAfter); err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits)); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, request.PublicKey, a.Key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der}), nil
}

// life is how long a certificate lives for a request that wishes seconds.
func life(seconds *int32, longest time.Duration) time.Duration {
	if seconds == nil {
		return longest
	}
	wish := time.Duration(*seconds) * time.Second
	switch {
	case wish > longest:
		return longest
	case wish < shortest:
		return shortest
	}
	return wish
}

// validity returns the beginning and the end of a certificate that is signed now by an authority that ends at an instant.
func validity(life time.Duration, now, end time.Time) (notBefore, notAfter time.Time, err error) {
	notBefore, notAfter = now.Add(-Backdate), now.Add(life)
	if life >= short {
		notAfter = notAfter.Add(-Backdate)
	}
	if notAfter.After(end) {
		notAfter = end
	}
	switch {
	case !notBefore.Before(notAfter):
		err = fmt.Errorf("the signer has expired: NotAfter=%v", end)
	case !now.Before(notAfter):
		err = fmt.Errorf("refusing to sign a certificate that expired in the past: NotAfter=%v", notAfter)
	}
	return notBefore, notAfter, err
}

var keyUsageOf = map[certificatesv1.KeyUsage]x509.KeyUsage{
	certificatesv1.UsageSigning:           x509.KeyUsageDigitalSignature,
	certificatesv1.UsageDigitalSignature:  x509.KeyUsageDigitalSignature,
	certificatesv1.UsageContentCommitment: x509.KeyUsageContentCommitment,
	certificatesv1.UsageKeyEncipherment:   x509.KeyUsageKeyEncipherment,
	certificatesv1.UsageKeyAgreement:      x509.KeyUsageKeyAgreement,
	certificatesv1.UsageDataEncipherment:  x509.KeyUsageDataEncipherment,
	certificatesv1.UsageCertSign:          x509.KeyUsageCertSign,
	certificatesv1.UsageCRLSign:           x509.KeyUsageCRLSign,
	certificatesv1.UsageEncipherOnly:      x509.KeyUsageEncipherOnly,
	certificatesv1.UsageDecipherOnly:      x509.KeyUsageDecipherOnly,
}

var extendedKeyUsageOf = map[certificatesv1.KeyUsage]x509.ExtKeyUsage{
	certificatesv1.UsageAny:             x509.ExtKeyUsageAny,
	certificatesv1.UsageServerAuth:      x509.ExtKeyUsageServerAuth,
	certificatesv1.UsageClientAuth:      x509.ExtKeyUsageClientAuth,
	certificatesv1.UsageCodeSigning:     x509.ExtKeyUsageCodeSigning,
	certificatesv1.UsageEmailProtection: x509.ExtKeyUsageEmailProtection,
	certificatesv1.UsageSMIME:           x509.ExtKeyUsageEmailProtection,
	certificatesv1.UsageIPsecEndSystem:  x509.ExtKeyUsageIPSECEndSystem,
	certificatesv1.UsageIPsecTunnel:     x509.ExtKeyUsageIPSECTunnel,
	certificatesv1.UsageIPsecUser:       x509.ExtKeyUsageIPSECUser,
	certificatesv1.UsageTimestamping:    x509.ExtKeyUsageTimeStamping,
	certificatesv1.UsageOCSPSigning:     x509.ExtKeyUsageOCSPSigning,
	certificatesv1.UsageMicrosoftSGC:    x509.ExtKeyUsageMicrosoftServerGatedCrypto,
	certificatesv1.UsageNetscapeSGC:     x509.ExtKeyUsageNetscapeServerGatedCrypto,
}

// keyUsages returns usages as a certificate has them, the extended ones in the order of the library's numbers.
func keyUsages(usages []certificatesv1.KeyUsage) (x509.KeyUsage, []x509.ExtKeyUsage, error) {
	var bits x509.KeyUsage
	var extended []x509.ExtKeyUsage
	for _, usage := range usages {
		bit, known := keyUsageOf[usage]
		bits |= bit
		if id, ok := extendedKeyUsageOf[usage]; ok {
			extended = append(extended, id)
		} else if !known {
			return 0, nil, fmt.Errorf("unrecognized usage value: %q", usage)
		}
	}
	slices.Sort(extended)
	return bits, slices.Compact(extended), nil
}
