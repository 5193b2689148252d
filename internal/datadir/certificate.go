package datadir

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"time"

	"k8s.io/client-go/util/cert"
)

const (
	// LeafLife is how long a certificate of a server or an administrator lives.
	LeafLife = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is replaced. A running server looks more often than that.
	renewBefore = 30 * 24 * time.Hour
	// clockSkew is by how much the clock of a client may be behind.
	clockSkew = time.Hour
)

func leaf(subject pkix.Name, usage x509.ExtKeyUsage, backdate time.Duration, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:     subject,
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(LeafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
}

func encodeCertificate(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: certificate.Raw})
}

// samePublic reports whether two public keys are the same one.
func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// selfSigned reports whether a certificate is signed with its own key, as those at the root of a chain are.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
