package controller_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	clientSigner  = certificatesv1.KubeAPIServerClientSignerName
	kubeletSigner = certificatesv1.KubeAPIServerClientKubeletSignerName
	roles         = "system:certificates.k8s.io:certificatesigningrequests:"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signingRequest is a PKCS#10 request in PEM.
func signingRequest(t testing.TB, key *ecdsa.PrivateKey, subject pkix.Name) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func nodeSubject(name string) pkix.Name {
	return pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + name}
}

// certificateRequest returns a request for a client certificate.
func certificateRequest(t testing.TB, signer string, key *ecdsa.PrivateKey, subject pkix.Name) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "csr-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: signingRequest(t, key, subject), SignerName: signer,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}
}

// submit creates a request, and returns its name.
func submit(t *testing.T, client kubernetes.Interface, csr *certificatesv1.CertificateSigningRequest) string {
	t.Helper()
	return add(t, client.CertificatesV1().CertificateSigningRequests().Create, csr).Name
}

// concluded waits until a request has a certificate or was refused. It returns the certificate, or the type, the reason and the
// message of the refusal.
func concluded(t *testing.T, client kubernetes.Interface, name string) (certificate *x509.Certificate, refusal string) {
	t.Helper()
	eventually(t, "the conclusion about "+name, func(ctx context.Context) error {
		csr, err := client.CertificatesV1().CertificateSigningRequests().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range csr.Status.Conditions {
			if c.Type != certificatesv1.CertificateApproved {
				refusal = string(c.Type) + " " + c.Reason + ": " + c.Message
				return nil
			}
		}
		block, _ := pem.Decode(csr.Status.Certificate)
		if block == nil {
			return apierrors.NewNotFound(certificatesv1.Resource("certificates"), name)
		}
		certificate, err = x509.ParseCertificate(block.Bytes)
		return err
	})
	return certificate, refusal
}

// issued is concluded for a request that must not be refused.
func issued(t *testing.T, client kubernetes.Interface, name string) *x509.Certificate {
	t.Helper()
	certificate, refusal := concluded(t, client, name)
	if refusal != "" {
		t.Fatalf("%s: %s", name, refusal)
	}
	return certificate
}

func encodeCertificate(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

// holder is the client of the holder of a certificate.
func holder(t *testing.T, server *testserver.Server, certificate *x509.Certificate, key *ecdsa.PrivateKey) kubernetes.Interface {
	t.Helper()
	encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(server.AdminConfig())
	config.CertData, config.KeyData = encodeCertificate(certificate), encoded
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// whoami is the user name and the groups that the server sees.
func whoami(t *testing.T, client kubernetes.Interface) string {
	t.Helper()
	user := add(t, client.AuthenticationV1().SelfSubjectReviews().Create, &authenticationv1.SelfSubjectReview{}).Status.UserInfo
	return user.Username + " " + strings.Join(user.Groups, ",")
}

func approve(t *testing.T, client kubernetes.Interface, name string, kind certificatesv1.RequestConditionType) {
	t.Helper()
	requests := client.CertificatesV1().CertificateSigningRequests()
	csr, err := requests.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: corev1.ConditionTrue, Reason: "Test"})
	if _, err := requests.UpdateApproval(t.Context(), name, csr, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// bind gives a group a cluster role.
func bind(t *testing.T, admin kubernetes.Interface, role, group string) {
	t.Helper()
	add(t, admin.RbacV1().ClusterRoleBindings().Create, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role + "-" + group},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}},
	})
}

// bootstrapToken makes a bootstrap token with further data in its secret.
func bootstrapToken(t *testing.T, admin kubernetes.Interface, id string, more map[string]string) string {
	t.Helper()
	data := map[string]string{
		"token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
		"expiration": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}
	for key, value := range more {
		data[key] = value
	}
	add(t, admin.CoreV1().Secrets("kube-system").Create, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id}, Type: "bootstrap.kubernetes.io/token", StringData: data,
	})
	return id + ".0123456789abcdef"
}

// TestClusterSigningFiles: an authority in files signs, for as long as a flag says, and another one when the files are replaced.
func TestClusterSigningFiles(t *testing.T) {
	dir := t.TempDir()
	certificateFile, keyFile := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	put := func(name string) {
		t.Helper()
		key := newKey(t)
		template := &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(keyFile, encoded, 0o600), os.WriteFile(certificateFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := tls.LoadX509KeyPair(certificateFile, keyFile); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	server := testserver.Start(t, "--cluster-signing-cert-file="+certificateFile, "--cluster-signing-key-file="+keyFile, "--cluster-signing-duration=20m",
		"--client-ca-file="+certificateFile)
	admin, key := server.Admin(), newKey(t)
	for _, authority := range []string{"one", "two"} {
		if authority != "one" {
			put(authority)
		}
		name := submit(t, admin, certificateRequest(t, clientSigner, key, pkix.Name{CommonName: "ann"}))
		approve(t, admin, name, certificatesv1.CertificateApproved)
		certificate := issued(t, admin, name)
		if certificate.Issuer.CommonName != authority || certificate.NotAfter.Sub(certificate.NotBefore) != 25*time.Minute {
			t.Errorf("issued by %s for %s", certificate.Issuer.CommonName, certificate.NotAfter.Sub(certificate.NotBefore))
		}
		eventually(t, "the user of the certificate", func(ctx context.Context) error {
			_, err := holder(t, server, certificate, key).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
			if apierrors.IsUnauthorized(err) { // the server reads the authorities for clients again soon
				return apierrors.NewNotFound(certificatesv1.Resource("users"), "ann")
			}
			return err
		})
	}
}
