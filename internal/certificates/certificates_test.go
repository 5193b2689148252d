package certificates_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/mintmark/mintmark/internal/certificates"
)

const (
	client         = certificatesv1.KubeAPIServerClientSignerName
	kubeletClient  = certificatesv1.KubeAPIServerClientKubeletSignerName
	kubeletServing = certificatesv1.KubeletServingSignerName
)

// usages reads usages from a list with commas.
func usages(list string) (usages []certificatesv1.KeyUsage) {
	for usage := range strings.SplitSeq(list, ",") {
		usages = append(usages, certificatesv1.KeyUsage(usage))
	}
	return usages
}

// request returns the PEM of a request that is signed with a key of its own.
func request(t *testing.T, template *x509.CertificateRequest) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func parsed(t *testing.T, csr *certificatesv1.CertificateSigningRequest) *x509.CertificateRequest {
	t.Helper()
	parsed, err := certificates.Parse(csr.Spec.Request)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// newCSR returns a request for a node's client certificate by the node itself, after changes.
func newCSR(t *testing.T, change func(*x509.CertificateRequest, *certificatesv1.CertificateSigningRequestSpec)) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:vm1"}}
	csr := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: kubeletClient, Usages: usages("digital signature,client auth"), Username: "system:node:vm1",
	}}
	if change != nil {
		change(template, &csr.Spec)
	}
	csr.Spec.Request = request(t, template)
	return csr
}

type (
	template = *x509.CertificateRequest
	spec     = *certificatesv1.CertificateSigningRequestSpec
)

var example = &url.URL{Scheme: "https", Host: "example.com"}

// TestSignerRules has one case for each rule of each signer, and the words of a request that breaks it.
func TestSignerRules(t *testing.T) {
	for name, c := range map[string]struct {
		change func(template, spec)
		want   string
	}{
		"a node":                   {nil, ""},
		"a node with an RSA key":   {func(_ template, s spec) { s.Usages = usages("key encipherment,client auth,digital signature") }, ""},
		"the same usage twice":     {func(_ template, s spec) { s.Usages = usages("client auth,client auth,digital signature") }, ""},
		"no organization":          {func(c template, _ spec) { c.Subject.Organization = nil }, "subject organization is not system:nodes"},
		"another organization":     {func(c template, _ spec) { c.Subject.Organization = []string{"system:masters"} }, "subject organization is not system:nodes"},
		"two organizations":        {func(c template, _ spec) { c.Subject.Organization = []string{"system:nodes", "x"} }, "subject organization is not system:nodes"},
		"a DNS name":               {func(c template, _ spec) { c.DNSNames = []string{"vm1"} }, "DNS subjectAltNames are not allowed"},
		"a mail address":           {func(c template, _ spec) { c.EmailAddresses = []string{"a@example.com"} }, "Email subjectAltNames are not allowed"},
		"an IP":                    {func(c template, _ spec) { c.IPAddresses = []net.IP{{10, 0, 0, 1}} }, "IP subjectAltNames are not allowed"},
		"a URI":                    {func(c template, _ spec) { c.URIs = []*url.URL{example} }, "URI subjectAltNames are not allowed"},
		"a user's name":            {func(c template, _ spec) { c.Subject.CommonName = "admin" }, "subject common name does not begin with system:node:"},
		"a name in capitals":       {func(c template, _ spec) { c.Subject.CommonName = "System:node:vm1" }, "subject common name does not begin with system:node:"},
		"no usage but client auth": {func(_ template, s spec) { s.Usages = usages("client auth") }, "usages did not match [client auth digital signature key encipherment]"},
		"server auth, too":         {func(_ template, s spec) { s.Usages = usages("client auth,digital signature,server auth") }, "usages did not match [client auth digital signature key encipherment]"},
		"signing for the same bit": {func(_ template, s spec) { s.Usages = usages("client auth,signing") }, "usages did not match [client auth digital signature key encipherment]"},
		"the organization comes first": {func(c template, s spec) {
			c.Subject, c.DNSNames, s.Usages = pkix.Name{}, []string{"x"}, usages("any")
		}, "subject organization is not system:nodes"},
		"the name before the usages": {func(c template, s spec) {
			c.Subject.CommonName, s.Usages = "x", usages("any")
		}, "subject common name does not begin with system:node:"},

		"serving":            {serving(nil), ""},
		"serving with RSA":   {serving(func(_ template, s spec) { s.Usages = usages("key encipherment,server auth,digital signature") }), ""},
		"serving by IP":      {serving(func(c template, _ spec) { c.DNSNames, c.IPAddresses = nil, []net.IP{{10, 0, 0, 1}} }), ""},
		"serving in a group": {serving(func(c template, _ spec) { c.Subject.Organization = []string{"x"} }), "subject organization is not system:nodes"},
		"serving nothing":    {serving(func(c template, _ spec) { c.DNSNames = nil }), "DNS or IP subjectAltName is required"},
		"serving mail":       {serving(func(c template, _ spec) { c.EmailAddresses = []string{"a@example.com"} }), "Email subjectAltNames are not allowed"},
		"serving a URI":      {serving(func(c template, _ spec) { c.URIs = []*url.URL{example} }), "URI subjectAltNames are not allowed"},
		"serving as client":  {serving(func(_ template, s spec) { s.Usages = usages("client auth,digital signature") }), "usages did not match [digital signature key encipherment server auth]"},
		"serving by a user":  {serving(func(c template, _ spec) { c.Subject.CommonName = "x" }), "subject common name does not begin with system:node:"},
		"serving: the usages before the name": {serving(func(c template, s spec) {
			c.Subject.CommonName, s.Usages = "x", usages("any")
		}), "usages did not match [digital signature key encipherment server auth]"},

		"a person": {person(nil), ""},
		"a person with names": {person(func(c template, _ spec) {
			c.DNSNames, c.URIs, c.Subject = []string{"x"}, []*url.URL{example}, pkix.Name{}
		}), ""},
		"a person with RSA":     {person(func(_ template, s spec) { s.Usages = usages("key encipherment,client auth,digital signature") }), ""},
		"a person's server":     {person(func(_ template, s spec) { s.Usages = usages("server auth,client auth") }), "invalid usage for client certificate: server auth"},
		"the first wrong usage": {person(func(_ template, s spec) { s.Usages = usages("signing,any") }), "invalid usage for client certificate: signing"},
		"a person's signature":  {person(func(_ template, s spec) { s.Usages = usages("digital signature") }), "missing required usage for client certificate: client auth"},
		"a master": {person(func(c template, _ spec) {
			c.Subject.Organization = []string{"x", "system:masters"}
		}), "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"},
		"a master's unit": {person(func(c template, _ spec) { c.Subject.OrganizationalUnit = []string{"system:masters"} }), ""},

		"a request of old": {func(_ template, s spec) { s.SignerName, s.Usages = "kubernetes.io/legacy-unknown", usages("any") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			csr := newCSR(t, c.change)
			got := ""
			if err := certificates.Check(csr, parsed(t, csr)); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func serving(change func(template, spec)) func(template, spec) {
	return func(c template, s spec) {
		s.SignerName, s.Usages, c.DNSNames = kubeletServing, usages("digital signature,server auth"), []string{"vm1"}
		if change != nil {
			change(c, s)
		}
	}
}

func person(change func(template, spec)) func(template, spec) {
	return func(c template, s spec) {
		s.SignerName, s.Usages, c.Subject = client, usages("client auth"), pkix.Name{CommonName: "ann", Organization: []string{"dev"}}
		if change != nil {
			change(c, s)
		}
	}
}

// TestRecognize: a node's client certificate is recognized, and as its own if the requester is the node.
func TestRecognize(t *testing.T) {
	const (
		self = "selfnodeclient: Auto approving self kubelet client certificate after SubjectAccessReview."
		node = "nodeclient: Auto approving kubelet client certificate after SubjectAccessReview."
	)
	for name, c := range map[string]struct {
		change func(template, spec)
		want   []string
	}{
		"by the node":                         {nil, []string{self, node}},
		"by a bootstrapper":                   {func(_ template, s spec) { s.Username = "system:bootstrap:abcdef" }, []string{node}},
		"by another node":                     {func(_ template, s spec) { s.Username = "system:node:vm2" }, []string{node}},
		"for serving":                         {serving(nil), nil},
		"for a person":                        {person(nil), nil},
		"for a node by the signer of persons": {func(_ template, s spec) { s.SignerName = client }, nil},
		"by another signer":                   {func(_ template, s spec) { s.SignerName = "example.com/x" }, nil},
		"with a name":                         {func(c template, _ spec) { c.DNSNames = []string{"vm1"} }, nil},
		"with usages":                         {func(_ template, s spec) { s.Usages = usages("client auth") }, nil},
		"of another group":                    {func(c template, _ spec) { c.Subject.Organization = []string{"system:masters"} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			csr := newCSR(t, c.change)
			var got []string
			for _, r := range certificates.Recognize(csr, parsed(t, csr)) {
				got = append(got, r.Subresource+": "+r.Message)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestParse: the first PEM block must be a request.
func TestParse(t *testing.T) {
	good := string(newCSR(t, nil).Spec.Request)
	const wrongType = "PEM block type must be CERTIFICATE REQUEST"
	for name, c := range map[string]struct{ pem, want string }{
		"a request":           {good, ""},
		"text around":         {"hello\n" + good + "bye", ""},
		"two requests":        {good + good, ""},
		"nothing":             {"", wrongType},
		"text":                {"hello", wrongType},
		"the former type":     {strings.ReplaceAll(good, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"), wrongType},
		"a certificate first": {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" + good, wrongType},
		"no request within":   {"-----BEGIN CERTIFICATE REQUEST-----\naGVsbG8=\n-----END CERTIFICATE REQUEST-----\n", "asn1: structure error"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := certificates.Parse([]byte(c.pem))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
