package apiserver_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mintmark/mintmark/internal/testserver"
)

// serverFiles writes a serving certificate of the authority, with the authority behind it.
func (a authority) serverFiles(certFile, keyFile, name string) {
	a.t.Helper()
	certificate, key := a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, text := range map[string][]byte{
		keyFile:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		certFile: append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), a.pem()...),
	} {
		if err := os.WriteFile(file+".new", text, 0o600); err != nil {
			a.t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			a.t.Fatal(err)
		}
	}
}

// TestRenewedServingCertificate replaces the files of --tls-cert-file under a running server, with a certificate of
// another authority for another name. Kubeconfig and token secrets follow.
func TestRenewedServingCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	first.serverFiles(certFile, keyFile, "first.example")
	s := testserver.Start(t, "--tls-cert-file="+certFile, "--tls-private-key-file="+keyFile)
	ctx := t.Context()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "robot", Annotations: map[string]string{corev1.ServiceAccountNameKey: "robot"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	admin := s.Admin().CoreV1()
	if _, err := admin.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Secrets("default").Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	published := func(want authority, name string) {
		t.Helper()
		var problem string
		err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			config, err := clientcmd.LoadFromFile(s.Kubeconfig)
			if err != nil {
				return false, err
			}
			if cluster := config.Clusters["mintmark"]; cluster.TLSServerName != name || string(cluster.CertificateAuthorityData) != string(want.pem()) {
				problem = "the kubeconfig is for " + cluster.TLSServerName
				return false, nil
			}
			found, err := s.Admin().CoreV1().Secrets("default").Get(ctx, "robot", metav1.GetOptions{})
			if err != nil {
				problem = err.Error() // the server may not have read the files yet
				return false, nil     //nolint:nilerr // asked again
			}
			if string(found.Data["ca.crt"]) != string(want.pem()) {
				problem = "ca.crt of the token secret is another"
				return false, nil
			}
			return true, nil
		})
		if err != nil {
			t.Fatalf("%s: %s", name, problem)
		}
	}
	published(first, "first.example")
	second.serverFiles(certFile, keyFile, "second.example")
	published(second, "second.example")
}
