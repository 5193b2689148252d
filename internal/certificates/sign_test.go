package certificates_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/mintmark/mintmark/internal/certificates"
)

const year = 365 * 24 * time.Hour

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// newAuthority returns an authority that ends at an instant.
func newAuthority(t *testing.T, key crypto.Signer, end time.Time) certificates.Authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotBefore: now.Add(-10 * year), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificates.Authority{Certificate: certificate, Key: key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign has a request signed, and returns the only certificate in the answer.
func sign(t *testing.T, a certificates.Authority, csr *certificatesv1.CertificateSigningRequest, longest time.Duration) *x509.Certificate {
	t.Helper()
	encoded, err := a.Sign(csr, parsed(t, csr), longest, now)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(encoded)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 || len(block.Headers) > 0 {
		t.Fatalf("not one certificate in PEM: %q", encoded)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// TestDurations: from when until when a certificate is valid, by the wish, the flag and the authority's end.
func TestDurations(t *testing.T) {
	key := newKey(t)
	const before = -certificates.Backdate
	for name, c := range map[string]struct {
		wish    int32 // 0 for none
		longest time.Duration
		end     time.Duration // of the authority
		until   time.Duration
		err     string
	}{
		"no wish":                           {0, year, 10 * year, year + before, ""},
		"a day":                             {86400, year, 10 * year, 24*time.Hour + before, ""},
		"more than the flag":                {2 * 31536000, year, 10 * year, year + before, ""},
		"the largest number":                {1<<31 - 1, year, 10 * year, year + before, ""},
		"the shortest":                      {600, year, 10 * year, 10 * time.Minute, ""},
		"shorter than the API lets through": {1, year, 10 * year, 10 * time.Minute, ""},
		"less than eight hours":             {8*3600 - 1, year, 10 * year, 8*time.Hour - time.Second, ""},
		"eight hours":                       {8 * 3600, year, 10 * year, 8*time.Hour + before, ""},
		"a flag below the shortest":         {600, time.Minute, 10 * year, time.Minute, ""},
		"the authority ends first":          {0, year, time.Hour, time.Hour, ""},
		"the authority ends in a second":    {600, year, time.Second, time.Second, ""},
		"the authority has ended":           {0, year, -time.Second, 0, "refusing to sign a certificate that expired in the past: NotAfter=2026-03-04 05:06:06 +0000 UTC"},
		"the authority ends now":            {0, year, 0, 0, "refusing to sign a certificate that expired in the past"},
		"the authority ended long ago":      {0, year, before, 0, "the signer has expired: NotAfter=2026-03-04 05:01:07 +0000 UTC"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, key, now.Add(c.end))
			csr := newCSR(t, nil)
			if c.wish != 0 {
				csr.Spec.ExpirationSeconds = &c.wish
			}
			if c.err != "" {
				if _, err := a.Sign(csr, parsed(t, csr), c.longest, now); err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			certificate := sign(t, a, csr, c.longest)
			if !certificate.NotBefore.Equal(now.Add(before)) {
				t.Errorf("valid from %s", certificate.NotBefore)
			}
			if until := certificate.NotAfter.Sub(now); until != c.until {
				t.Errorf("valid for %s from now on, want %s", until, c.until)
			}
		})
	}
}

// TestContents: what of a request comes into the certificate, and what does not.
func TestContents(t *testing.T) {
	a := newAuthority(t, newKey(t), now.Add(10*year))
	basicConstraints, err := asn1.Marshal(struct{ CA bool }{true})
	if err != nil {
		t.Fatal(err)
	}
	csr := newCSR(t, person(func(c template, s spec) {
		c.Subject = pkix.Name{
			CommonName: "ann", Organization: []string{"b", "a"}, OrganizationalUnit: []string{"u"}, Country: []string{"NO"}, SerialNumber: "7",
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "lost"}},
		}
		c.DNSNames, c.IPAddresses = []string{"a.example"}, []net.IP{net.IPv4(10, 0, 0, 1).To4()}
		c.EmailAddresses, c.URIs = []string{"a@b.example"}, []*url.URL{example}
		c.ExtraExtensions = []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: basicConstraints},
			{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}},
		}
		s.Usages = usages("client auth,digital signature,key encipherment")
	}))
	certificate := sign(t, a, csr, year)
	if got, want := certificate.Subject.String(), "SERIALNUMBER=7,CN=ann,OU=u,O=a+O=b,C=NO"; got != want {
		t.Errorf("subject %s, want %s", got, want)
	}
	if len(certificate.DNSNames) != 1 || len(certificate.IPAddresses) != 1 || len(certificate.EmailAddresses) != 1 || len(certificate.URIs) != 1 {
		t.Errorf("alternative names %q %q %q %q", certificate.DNSNames, certificate.IPAddresses, certificate.EmailAddresses, certificate.URIs)
	}
	if certificate.IsCA || !certificate.BasicConstraintsValid {
		t.Error("the certificate does not say that it is no authority")
	}
	if certificate.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || !slices.Equal(certificate.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
		t.Errorf("usages %b %v", certificate.KeyUsage, certificate.ExtKeyUsage)
	}
	if !bytes.Equal(certificate.AuthorityKeyId, a.Certificate.SubjectKeyId) || len(certificate.SubjectKeyId) > 0 {
		t.Errorf("authority key id %x, subject key id %x", certificate.AuthorityKeyId, certificate.SubjectKeyId)
	}
	for _, extension := range certificate.Extensions {
		if extension.Id.Equal(asn1.ObjectIdentifier{1, 2, 3, 4}) {
			t.Error("an extension of the request is in the certificate")
		}
	}
	if err := certificate.CheckSignatureFrom(a.Certificate); err != nil {
		t.Error(err)
	}
	if other := sign(t, a, csr, year); other.SerialNumber.Cmp(certificate.SerialNumber) == 0 || other.SerialNumber.BitLen() > 128 {
		t.Errorf("serial numbers %s and %s", certificate.SerialNumber, other.SerialNumber)
	}
}

// TestUsages: every usage that the API knows has a place in a certificate.
func TestUsages(t *testing.T) {
	a := newAuthority(t, newKey(t), now.Add(10*year))
	legacy := func(list string) *certificatesv1.CertificateSigningRequest {
		return newCSR(t, func(_ template, s spec) { s.SignerName, s.Usages = "kubernetes.io/legacy-unknown", usages(list) })
	}
	for list, want := range map[string]struct {
		bits     x509.KeyUsage
		extended []x509.ExtKeyUsage
	}{
		"signing,digital signature":                          {x509.KeyUsageDigitalSignature, nil},
		"cert sign,crl sign":                                 {x509.KeyUsageCertSign | x509.KeyUsageCRLSign, nil},
		"content commitment,data encipherment,key agreement": {x509.KeyUsageContentCommitment | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyAgreement, nil},
		"encipher only,decipher only":                        {x509.KeyUsageEncipherOnly | x509.KeyUsageDecipherOnly, nil},
		"s/mime,email protection":                            {0, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}},
		"netscape sgc,ocsp signing,client auth,any": {0, []x509.ExtKeyUsage{
			x509.ExtKeyUsageAny, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageOCSPSigning, x509.ExtKeyUsageNetscapeServerGatedCrypto,
		}},
		"microsoft sgc,timestamping,code signing": {0, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning, x509.ExtKeyUsageTimeStamping, x509.ExtKeyUsageMicrosoftServerGatedCrypto}},
		"ipsec user,ipsec tunnel,ipsec end system,server auth": {0, []x509.ExtKeyUsage{
			x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageIPSECEndSystem, x509.ExtKeyUsageIPSECTunnel, x509.ExtKeyUsageIPSECUser,
		}},
	} {
		certificate := sign(t, a, legacy(list), year)
		if certificate.KeyUsage != want.bits || !slices.Equal(certificate.ExtKeyUsage, want.extended) {
			t.Errorf("%s: %b %v, want %b %v", list, certificate.KeyUsage, certificate.ExtKeyUsage, want.bits, want.extended)
		}
	}
	unknown := legacy("client auth,x")
	if _, err := a.Sign(unknown, parsed(t, unknown), year, now); err == nil {
		t.Error("an unknown usage was signed")
	}
}

// TestKeys: authorities and requests have keys of any kind, and a request must be signed with its own.
func TestKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{rsaKey, edKey, newKey(t)} {
		a := newAuthority(t, key, now.Add(year))
		for _, subject := range []crypto.Signer{rsaKey, edKey, newKey(t)} {
			csr := newCSR(t, nil)
			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, subject)
			if err != nil {
				t.Fatal(err)
			}
			csr.Spec.Request = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
			certificate := sign(t, a, csr, year)
			if public := subject.Public().(interface{ Equal(crypto.PublicKey) bool }); !public.Equal(certificate.PublicKey) {
				t.Errorf("%T has another public key", subject)
			}
		}
	}
	csr := newCSR(t, nil)
	forged := parsed(t, csr)
	forged.PublicKey = newKey(t).Public()
	if _, err := newAuthority(t, newKey(t), now.Add(year)).Sign(csr, forged, year, now); err == nil {
		t.Error("a request for the key of another was signed")
	}
}
