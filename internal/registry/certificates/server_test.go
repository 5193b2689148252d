package certificates_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/testserver"
)

const requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

// newServer starts a server without controllers and returns its administrator.
func newServer(t *testing.T) testserver.Caller {
	t.Helper()
	t.Parallel()
	running := testserver.Start(t, "--controllers=")
	return running.Caller(running.AdminConfig())
}

// signed returns a PKCS#10 request in PEM that a key has signed.
func signed(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "ada"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// body returns an object with a request in it, for a signer that is none of Kubernetes'.
func body(name string, request []byte, further ...string) string {
	return fmt.Sprintf("metadata: {name: %s}\nspec: {signerName: example.com/people, usages: [client auth], request: %s%s}",
		name, base64.StdEncoding.EncodeToString(request), strings.Join(further, ""))
}

// bodyFor is the same for a signer.
func bodyFor(signer, name string, request []byte, further ...string) string {
	return strings.Replace(body(name, request, further...), "example.com/people", signer, 1)
}

// issued returns a certificate in PEM that is valid for a while.
func issued(t *testing.T, validity time.Duration) string {
	t.Helper()
	key, now := newKey(t), time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(validity)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Whatever key the library can check a signature with may ask for a certificate, and so may PEM with other things around it.
func TestKeysAndPEM(t *testing.T) {
	admin := newServer(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := signed(t, newKey(t))
	block, _ := pem.Decode(good)
	const wrongType = "PEM block type must be CERTIFICATE REQUEST"
	for name, test := range map[string]struct {
		request []byte
		refusal string
	}{
		"rsa":             {signed(t, rsaKey), ""},
		"ed25519":         {signed(t, ed), ""},
		"p521":            {signed(t, p521), ""},
		"crlf":            {[]byte(strings.ReplaceAll(string(good), "\n", "\r\n")), ""},
		"text-around":     {[]byte("Ada's:\n" + string(good) + "that was it"), ""},
		"key-behind":      {append(good[:len(good):len(good)], pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte("x")})...), ""},
		"key-in-front":    {append(pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte("x")}), good...), wrongType},
		"pem-headers":     {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Headers: map[string]string{"A": "b"}, Bytes: block.Bytes}), ""},
		"old-type":        {pem.EncodeToMemory(&pem.Block{Type: "NEW CERTIFICATE REQUEST", Bytes: block.Bytes}), wrongType},
		"der":             {block.Bytes, wrongType},
		"trailing-data":   {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: append(block.Bytes[:len(block.Bytes):len(block.Bytes)], 0)}), "trailing data"},
		"another-s-key":   {forged(t), "verification"},
		"many-beginnings": {[]byte(strings.Repeat("-----BEGIN CERTIFICATE REQUEST-----\n", 20_000)), wrongType},
	} {
		status := 201
		if test.refusal != "" {
			status = 422
		}
		answer, got := admin.Do("POST "+requests, body(name, test.request))
		message, _ := answer.(map[string]any)["message"].(string)
		if got != status || !strings.Contains(message, test.refusal) {
			t.Errorf("%s: %d %.300s; want %d %s", name, got, message, status, test.refusal)
		}
	}
}

// forged returns a request whose signature is that of another key.
func forged(t *testing.T) []byte {
	t.Helper()
	block, _ := pem.Decode(signed(t, newKey(t)))
	other, _ := pem.Decode(signed(t, newKey(t)))
	var one, two struct {
		Info, Algorithm asn1.RawValue
		Signature       asn1.BitString
	}
	if _, err := asn1.Unmarshal(block.Bytes, &one); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(other.Bytes, &two); err != nil {
		t.Fatal(err)
	}
	one.Signature = two.Signature
	der, err := asn1.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// The check of a signature with a large RSA key would take minutes, so it isn't begun.
func TestLargeRSAKeys(t *testing.T) {
	admin := newServer(t)
	for bits, refusal := range map[int]string{8192: "verification error", 8200: "the RSA key has 8200 bits, and more than 8192 are not supported", 1 << 20: "has 1048576 bits"} {
		began := time.Now()
		answer, status := admin.Do("POST "+requests, body("large", withRSAKey(t, bits)))
		message, _ := answer.(map[string]any)["message"].(string)
		if status != 422 || !strings.Contains(message, refusal) {
			t.Errorf("%d bits: %d %.100s…%.100s; want %s", bits, status, message, message[max(0, len(message)-100):], refusal)
		}
		if taken := time.Since(began); taken > 30*time.Second {
			t.Errorf("%d bits took %v", bits, taken)
		}
	}
}

// withRSAKey returns a request with an RSA key of a size, which no one has the private half of.
func withRSAKey(t *testing.T, bits int) []byte {
	t.Helper()
	modulus := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	modulus.SetBit(modulus, 0, 1)
	key, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: modulus, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	subject, err := asn1.Marshal(pkix.RDNSequence{})
	if err != nil {
		t.Fatal(err)
	}
	sha256WithRSA := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	der, err := asn1.Marshal(struct {
		Info struct {
			Version      int
			Subject, Key asn1.RawValue
			Attributes   asn1.RawValue
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		Info: struct {
			Version      int
			Subject, Key asn1.RawValue
			Attributes   asn1.RawValue
		}{0, asn1.RawValue{FullBytes: subject}, asn1.RawValue{FullBytes: key}, asn1.RawValue{FullBytes: []byte{0xa0, 0}}},
		Algorithm: sha256WithRSA,
		Signature: asn1.BitString{Bytes: make([]byte, bits/8), BitLength: bits},
	})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}
