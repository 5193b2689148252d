package datadir

import (
	"context"
	"crypto/x509"
	"time"
)

// Identity gives access to the certificate authority and the roots that all servers over one store share.
type Identity interface {
	// Authority returns the certificate authority that signs at an instant.
	Authority(now time.Time) Authority
	// Publish notes the roots by which clients know this server, in PEM; shared says that they are the shared authorities', and
	// without any they are unknown. It returns the roots of all servers.
	Publish(ctx context.Context, roots []byte, shared bool) []byte
}

// Authority is a certificate authority among others that are trusted as well. It does not change.
type Authority interface {
	// Bundle is the PEM of all authorities that are trusted.
	Bundle() []byte
	// Issue makes a key, in PEM, and its certificate, which ends with the authority at the latest.
	Issue(template *x509.Certificate) (certificate *x509.Certificate, key []byte, err error)
	// Signed reports whether the authority has signed a certificate.
	Signed(certificate *x509.Certificate) bool
	// Chain is the PEM that leads clients of each of the authorities from a server's certificate to one that they know.
	Chain() ([]byte, error)
	// Leads reports whether a chain that was made earlier still does.
	Leads(chain []*x509.Certificate) bool
}

// stands reports whether a certificate is of an authority, valid now and for a while.
func stands(a Authority, certificate *x509.Certificate, now time.Time) bool {
	margin := min(renewBefore, certificate.NotAfter.Sub(certificate.NotBefore)/3)
	return a.Signed(certificate) && !now.Before(certificate.NotBefore) && now.Add(margin).Before(certificate.NotAfter)
}
