package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// clientCertificateLife is longer than any run.
const clientCertificateLife = 24 * time.Hour

// credentials are what a server is given for the benchmark to make tokens and certificates that it accepts.
type credentials struct {
	// flags name the files with the public parts, and with the key that signs.
	flags       []string
	signingKey  *ecdsa.PrivateKey
	certificate *tls.Certificate
}

// newCredentials makes a signing key, and an authority that issues the client certificate of a user. The files are in dir.
func newCredentials(dir, user string) (*credentials, error) {
	signingKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	encoded, err := keyutil.MarshalPrivateKeyToPEM(signingKey)
	if err != nil {
		return nil, err
	}
	authority, certificate, err := issueCertificate(user)
	if err != nil {
		return nil, err
	}
	keyFile, caFile := filepath.Join(dir, "signing.key"), filepath.Join(dir, "clients.crt")
	if err := errors.Join(os.WriteFile(keyFile, encoded, 0o600), os.WriteFile(caFile, authority, 0o600)); err != nil {
		return nil, err
	}
	flags := []string{"--service-account-signing-key-file=" + keyFile, "--client-ca-file=" + caFile}
	return &credentials{flags, signingKey, certificate}, nil
}

// issueCertificate has a new authority, which is returned in PEM, issue the client certificate of a user.
func issueCertificate(user string) (authority []byte, issued *tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	ca, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "clients of the benchmark"}, key)
	if err != nil {
		return nil, nil, err
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: user},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.Add(clientCertificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, own.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("a client certificate: %w", err)
	}
	authority, err = cert.EncodeCertificates(ca)
	return authority, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own}, err
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
