package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// clientCertificateLife is longer than any run.
const clientCertificateLife = 24 * time.Hour

// issueCertificate has an authority, given by its PEM files, issue the client certificate of a user.
func issueCertificate(caFile, caKeyFile, user string) (*tls.Certificate, error) {
	authorities, err := cert.CertsFromFile(caFile)
	if err != nil {
		return nil, err
	}
	authorityKey, err := keyutil.PrivateKeyFromFile(caKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: user},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.Add(clientCertificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authorities[0], key.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("a client certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// readSigningKey reads the key that a server signs tokens with. Only P-256 keys sign ES256.
func readSigningKey(file string) (*ecdsa.PrivateKey, error) {
	found, err := keyutil.PrivateKeyFromFile(file)
	if err != nil {
		return nil, err
	}
	key, ok := found.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s holds no P-256 key, which is what ES256 signs with", file)
	}
	return key, nil
}
