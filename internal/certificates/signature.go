package certificates

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// maxRSABits is the largest RSA key that a request may have, as in crypto/tls. The time that a check of a signature takes grows with
// the square of the size: a key of a million bits takes minutes.
const maxRSABits = 8192

// CheckSignature checks that a request is signed with its own key.
func CheckSignature(request *x509.CertificateRequest) error {
	if key, ok := request.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
		return fmt.Errorf("x509: the RSA key has %d bits, and more than %d are not supported", key.N.BitLen(), maxRSABits)
	}
	return request.CheckSignature()
}
