package signingkey

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // only to call such a key by its name
	"crypto/ecdh"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
)

// derSequence is the first byte of every key and certificate in DER.
const derSequence = 0x30

// parseDER returns the private or public key that is encoded, or that a certificate is for.
func parseDER(der []byte) (any, error) {
	parsers := []func([]byte) (any, error){
		x509.ParsePKCS8PrivateKey,
		func(b []byte) (any, error) { return x509.ParseECPrivateKey(b) },
		func(b []byte) (any, error) { return x509.ParsePKCS1PrivateKey(b) },
		x509.ParsePKIXPublicKey,
		func(b []byte) (any, error) { return x509.ParsePKCS1PublicKey(b) },
		certificateKey,
	}
	for _, parse := range parsers {
		if key, err := parse(der); err == nil {
			return key, nil
		}
	}
	if kind := encodedKind(der); kind != "" {
		return nil, unusable(kind)
	}
	return nil, errors.New("is no key and no certificate that can be read")
}

// certificateKey returns the key that a certificate is for. Behind the certificate there may be what openssl adds to a
// TRUSTED CERTIFICATE.
func certificateKey(der []byte) (any, error) {
	var first asn1.RawValue
	if _, err := asn1.Unmarshal(der, &first); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(first.FullBytes)
	if err != nil {
		return nil, err
	}
	if certificate.PublicKey == nil {
		return nil, errors.New("the certificate's key is of an unknown kind")
	}
	return certificate.PublicKey, nil
}

// kindOf names the kind of a key that can be read but not used.
func kindOf(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *ecdh.PublicKey:
		return fmt.Sprintf("a key for key agreement (%s)", key.Curve())
	case *dsa.PublicKey:
		return "a DSA key"
	}
	return "a key of another kind"
}

// otherKinds are the keys that the standard library does not read, by the identifier of their algorithm or curve.
var otherKinds = map[string]string{
	"1.3.101.111":           "an X448 key",
	"1.3.101.113":           "an Ed448 key",
	"1.2.840.113549.1.1.10": "a key for RSASSA-PSS alone",
	"1.2.840.10040.4.1":     "a DSA key",
	"1.3.132.0.10":          "an ECDSA key on secp256k1",
	"1.2.840.10045.3.1.1":   "an ECDSA key on P-192",
	"1.3.36.3.3.2.8.1.1.7":  "an ECDSA key on brainpoolP256r1",
	"1.3.36.3.3.2.8.1.1.11": "an ECDSA key on brainpoolP384r1",
	"1.3.36.3.3.2.8.1.1.13": "an ECDSA key on brainpoolP512r1",
	"1.2.840.10045.1.1":     "an ECDSA key with a curve that is spelled out, not named",
}

// encodedKind names the kind of a key by the first identifier in it that otherKinds has.
func encodedKind(der []byte) string {
	for len(der) > 0 {
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(der, &value)
		if err != nil {
			return ""
		}
		if value.IsCompound {
			if kind := encodedKind(value.Bytes); kind != "" {
				return kind
			}
		}
		var id asn1.ObjectIdentifier
		if _, err := asn1.Unmarshal(value.FullBytes, &id); err == nil && otherKinds[id.String()] != "" {
			return otherKinds[id.String()]
		}
		der = rest
	}
	return ""
}
