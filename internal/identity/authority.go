package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/internal/datadir"
)

const (
	caLife = 10 * 365 * 24 * time.Hour
	// caOverlap is how long before its end an authority is succeeded by another one. Both are trusted until then. A
	// certificate lives for a shorter time, so none outlives the authority that signed it.
	caOverlap = 2 * datadir.LeafLife
	// publishAhead is how long a new authority is trusted before it signs, for all servers to know it. They read the record
	// much more often.
	publishAhead = time.Hour
	// clockSkew is by how much the clock of a client may be behind.
	clockSkew = time.Hour
)

// authority is a certificate authority.
type authority struct {
	certificate *x509.Certificate
	// key is nil if the authority is trusted but can't sign.
	key crypto.Signer
	// signsFrom is when the authority begins to sign in the place of others. It is zero for an authority
	// that signs only if no other can.
	signsFrom time.Time
}

// newAuthority makes an authority with a key of its own.
func newAuthority(now, signsFrom time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: fmt.Sprintf("mintmark-ca@%d", now.Unix())},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := sign(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key, signsFrom: signsFrom}, nil
}

// name returns the name under which the key of a certificate is sealed.
func name(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return "certificate-authorities/" + hex.EncodeToString(sum[:8])
}

func (a *authority) valid(now time.Time) bool {
	return !now.Before(a.certificate.NotBefore) && now.Before(a.certificate.NotAfter)
}

// canSign reports whether the authority is valid and has its key here.
func (a *authority) canSign(now time.Time) bool { return a.key != nil && a.valid(now) }

// ends reports whether it is time for a successor.
func (a *authority) ends(now time.Time) bool {
	life := a.certificate.NotAfter.Sub(a.certificate.NotBefore)
	return !now.Add(min(caOverlap, life/5)).Before(a.certificate.NotAfter)
}

// before reports whether another authority rather signs at an instant: one whose time has come, then the one that began last, then
// the one that lasts longest.
func (a *authority) before(other *authority, now time.Time) bool {
	if begun, otherBegun := !a.signsFrom.After(now), !other.signsFrom.After(now); begun != otherBegun {
		return otherBegun
	}
	if !a.signsFrom.Equal(other.signsFrom) {
		return a.signsFrom.Before(other.signsFrom)
	}
	return a.certificate.NotAfter.Before(other.certificate.NotAfter)
}

// signerOf returns the authority that signs at an instant, or nil if none can.
func signerOf(all []*authority, now time.Time) *authority {
	var signer *authority
	for _, a := range all {
		if a.canSign(now) && (signer == nil || signer.before(a, now)) {
			signer = a
		}
	}
	return signer
}

// needsSuccessor reports whether an authority has to be made, and from when it has to sign.
func needsSuccessor(all []*authority, now time.Time) (signsFrom time.Time, needed bool) {
	signer := signerOf(all, now)
	if signer == nil {
		return now, true
	}
	waits := func(a *authority) bool { return a.canSign(now) && !a.ends(now) && a.signsFrom.After(now) }
	return now.Add(publishAhead), signer.ends(now) && !slices.ContainsFunc(all, waits)
}

// Authority is the certificate authority that signs, among those that are trusted. It is never changed.
type Authority struct {
	signer *authority
	// others are the other authorities that can sign and whose signsFrom has come.
	others []*authority
	bundle []byte
}

// Bundle is the PEM of all authorities that are trusted, in the same order at every server.
func (a *Authority) Bundle() []byte { return a.bundle }

// Issue makes a key and its certificate, which ends with the authority at the latest. The key is in PEM.
func (a *Authority) Issue(template *x509.Certificate) (*x509.Certificate, []byte, error) {
	template.NotAfter = earlier(template.NotAfter, a.signer.certificate.NotAfter)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := sign(template, a.signer.certificate, key.Public(), a.signer.key)
	return certificate, encoded, err
}

// Signed reports whether the authority has signed a certificate.
func (a *Authority) Signed(certificate *x509.Certificate) bool {
	return certificate.CheckSignatureFrom(a.signer.certificate) == nil
}

// Chain is the PEM that a server sends behind its certificate: the other authorities, and the signer's certificate, signed by each of
// them and by itself. It leads clients that know only one of them to the signer, if by the hash of its key alone.
func (a *Authority) Chain() ([]byte, error) {
	var encoded []byte
	own := a.signer.certificate
	for _, other := range a.others {
		template := &x509.Certificate{
			Subject: own.Subject, SubjectKeyId: own.SubjectKeyId,
			NotBefore: own.NotBefore, NotAfter: earlier(own.NotAfter, other.certificate.NotAfter),
			KeyUsage: own.KeyUsage, BasicConstraintsValid: true, IsCA: true,
		}
		certificate, err := sign(template, other.certificate, own.PublicKey, other.key)
		if err != nil {
			return nil, err
		}
		encoded = append(append(encoded, encode(certificate)...), encode(other.certificate)...)
	}
	return append(encoded, encode(own)...), nil
}

// Leads reports whether the certificates behind a server's lead clients of every authority to the signer.
func (a *Authority) Leads(chain []*x509.Certificate) bool {
	if !slices.ContainsFunc(chain, a.signer.certificate.Equal) {
		return false
	}
	for _, other := range a.others {
		crossed := slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
			return samePublic(c.PublicKey, a.signer.certificate.PublicKey) && c.CheckSignatureFrom(other.certificate) == nil
		})
		if !crossed || !slices.ContainsFunc(chain, other.certificate.Equal) {
			return false
		}
	}
	return true
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func encode(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: certificate.Raw})
}

// samePublic reports whether two public keys are the same one.
func samePublic(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
