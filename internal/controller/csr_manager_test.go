package controller_test

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/certificate"
	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/internal/testserver"
)

// certificateStore keeps the certificates of a manager in memory, and delivers each of them.
type certificateStore struct {
	mu      sync.Mutex
	current *tls.Certificate
	stored  chan *tls.Certificate
}

func (s *certificateStore) Current() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		none := certificate.NoCertKeyError("none yet")
		return nil, &none
	}
	return s.current, nil
}

func (s *certificateStore) Update(encoded, key []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(encoded, key)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = &pair
	select {
	case s.stored <- &pair:
	default: // the test has seen enough
	}
	return &pair, nil
}

// TestCertificateManager: the certificate manager of client-go, which kubelets use, gets its first certificate by a bootstrap token
// and renews it before its end, with the certificate alone. A certificate begins five minutes before it is signed, so one that
// lives for 30 seconds is beyond 90 % of its life at once, when the manager renews it at the latest. So the schedule is the
// manager's own, and nobody waits.
func TestCertificateManager(t *testing.T) {
	server := testserver.Start(t, "--enable-bootstrap-token-auth", "--cluster-signing-duration=30s")
	admin := server.Admin()
	bind(t, admin, "system:node-bootstrapper", nodeBootstrappers)
	bind(t, admin, roles+"nodeclient", nodeBootstrappers)
	bind(t, admin, "system:node-bootstrapper", "system:nodes")
	bind(t, admin, roles+"selfnodeclient", "system:nodes")
	bootstrap := server.TokenConfig(bootstrapToken(t, admin, "vm1vm1", map[string]string{"auth-extra-groups": nodeBootstrappers, "node-name": "vm1"}))
	store := &certificateStore{stored: make(chan *tls.Certificate, 10)}
	manager, err := certificate.NewManager(&certificate.Config{
		ClientsetFn: func(current *tls.Certificate) (kubernetes.Interface, error) {
			if current == nil {
				return kubernetes.NewForConfig(bootstrap)
			}
			key, err := keyutil.MarshalPrivateKeyToPEM(current.PrivateKey)
			if err != nil {
				return nil, err
			}
			config := rest.AnonymousClientConfig(server.AdminConfig())
			config.CertData, config.KeyData = encodeCertificate(current.Leaf), key
			return kubernetes.NewForConfig(config)
		},
		Template:         &x509.CertificateRequest{Subject: nodeSubject("vm1")},
		SignerName:       certificatesv1.KubeAPIServerClientKubeletSignerName,
		GetUsages:        certificate.DefaultKubeletClientGetUsages,
		CertificateStore: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	manager.Start()
	defer manager.Stop()
	var last *x509.Certificate
	for range 3 {
		select {
		case pair := <-store.stored:
			if last != nil && (!time.Now().Before(last.NotAfter) || !last.NotAfter.Before(pair.Leaf.NotAfter)) {
				t.Errorf("a certificate until %s came after one until %s", pair.Leaf.NotAfter, last.NotAfter)
			}
			last = pair.Leaf
		case <-time.After(time.Minute):
			t.Fatal("no certificate within a minute")
		}
	}
	requests, err := admin.CertificatesV1().CertificateSigningRequests().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]int{}
	for i := range requests.Items {
		by[requests.Items[i].Spec.Username]++
	}
	if by["system:bootstrap:vm1vm1"] != 1 || by["system:node:vm1"] < 2 {
		t.Errorf("requests by %v", by)
	}
}
