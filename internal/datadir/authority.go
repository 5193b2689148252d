package datadir

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is replaced. A running server looks more often than that.
	renewBefore = 30 * 24 * time.Hour
	// clockSkew is by how much the clock of a client may be behind.
	clockSkew = time.Hour
)

// authority is the certificate authority of a data directory.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// authority reads the certificate authority, or makes it.
func (d *Dir) authority(now time.Time) (ca *authority, made bool, err error) {
	found, err := d.read(CACertificate)
	if err != nil {
		return nil, false, err
	}
	if found == nil {
		ca, err := d.newAuthority(now)
		return ca, true, err
	}
	certificates, err := cert.ParseCertsPEM(found)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", d.Path(CACertificate), err)
	}
	key, err := keyutil.PrivateKeyFromFile(d.Path(caKey))
	if err != nil {
		return nil, false, fmt.Errorf("%s is useless without its key: %w", d.Path(CACertificate), err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, false, fmt.Errorf("%s holds a %T, which can't sign", d.Path(caKey), key)
	}
	return &authority{certificate: certificates[0], key: signer, pem: found}, false, nil
}

func (d *Dir) newAuthority(now time.Time) (*authority, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: fmt.Sprintf("mintmark-ca@%d", now.Unix())},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := issue(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	ca := &authority{certificate: certificate, key: key, pem: encodeCertificate(certificate)}
	// The key first: a certificate without its key would stop the next start.
	if err := d.write(caKey, keyPEM, privateMode); err != nil {
		return nil, err
	}
	return ca, d.write(CACertificate, ca.pem, publicMode)
}

// issueLeaf makes a key and its certificate.
func (a *authority) issueLeaf(template *x509.Certificate) (*x509.Certificate, []byte, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	certificate, err := issue(template, a.certificate, key.Public(), a.key)
	return certificate, keyPEM, err
}

// stands reports whether a certificate is of this authority and good for a while.
func (a *authority) stands(behind *x509.Certificate, now time.Time) bool {
	return behind.CheckSignatureFrom(a.certificate) == nil && now.Add(renewBefore).Before(behind.NotAfter)
}

func issue(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
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

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
	return key, encoded, err
}

func leaf(subject pkix.Name, usage x509.ExtKeyUsage, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:     subject,
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    now.Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
}

func encodeCertificate(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: certificate.Raw})
}
