// Package certificates decides about CertificateSigningRequests (certificates.k8s.io/v1): which of them are approved without a
// person, what a signer refuses, what a certificate says and how long it is valid, and when a request is removed. Its
// functions read requests and write nothing. The controllers of certificate signing requests ask them.
package certificates

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// Backdate is how long before the instant of signing the validity of a certificate begins, for clients whose clocks are behind.
// A certificate was issued at its NotBefore plus Backdate.
const Backdate = 5 * time.Minute

// pemType is the type of the PEM block that holds a request.
const pemType = "CERTIFICATE REQUEST"

var errNoRequest = errors.New("PEM block type must be CERTIFICATE REQUEST")

// Parse reads the PKCS#10 request in the first PEM block. It does not check the signature.
func Parse(encoded []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(encoded)
	if block == nil || block.Type != pemType {
		return nil, errNoRequest
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

// KeyHash returns the SHA-256, in hex, of the public key of a request (its SubjectPublicKeyInfo).
func KeyHash(request *x509.CertificateRequest) string {
	sum := sha256.Sum256(request.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Has returns the condition of a type, or nil. Its status is not looked at.
func Has(csr *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) *certificatesv1.CertificateSigningRequestCondition {
	for i := range csr.Status.Conditions {
		if csr.Status.Conditions[i].Type == kind {
			return &csr.Status.Conditions[i]
		}
	}
	return nil
}
