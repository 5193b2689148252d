package certificates_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"testing/synctest"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/certificate"

	"github.com/mintmark/mintmark/internal/certificates"
)

// chain is a certificate store in memory, which tells of each certificate.
type chain struct {
	current *tls.Certificate
	stored  chan *x509.Certificate
}

func (c *chain) Current() (*tls.Certificate, error) {
	if c.current == nil {
		none := certificate.NoCertKeyError("")
		return nil, &none
	}
	return c.current, nil
}

func (c *chain) Update(cert, key []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	c.current = &pair
	c.stored <- pair.Leaf
	return c.current, nil
}

// TestManagerOverYears: client-go's certificate manager gets its first certificate and leaves each of them alone for 70 % of
// its life. It has the next one before 90 % of it are over. The clock is that of the test.
func TestManagerOverYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := newAuthority(t, newKey(t), time.Now().Add(20*year))
		store := &chain{stored: make(chan *x509.Certificate, 1)}
		manager, err := certificate.NewManager(&certificate.Config{
			ClientsetFn: func(*tls.Certificate) (kubernetes.Interface, error) { return signing(t, authority), nil },
			Template: &x509.CertificateRequest{Subject: pkix.Name{
				CommonName: "system:node:vm1", Organization: []string{"system:nodes"},
			}},
			SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName, GetUsages: certificate.DefaultKubeletClientGetUsages,
			CertificateStore: store,
		})
		if err != nil {
			t.Fatal(err)
		}
		manager.Start()
		defer manager.Stop()
		leaf := <-store.stored
		for range 5 {
			life := leaf.NotAfter.Sub(leaf.NotBefore)
			if (life - year).Abs() > time.Second {
				t.Errorf("a certificate lives for %s, want %s", life, year)
			}
			next := <-store.stored
			if age := time.Since(leaf.NotBefore); age < life*7/10 || age > life*9/10+time.Minute {
				t.Errorf("renewed after %s of %s", age, life)
			}
			leaf = next
		}
	})
}

// signing is a client of an API that approves the requests of nodes and signs them, by the rules of this package.
func signing(t *testing.T, authority certificates.Authority) kubernetes.Interface {
	client := fake.NewClientset()
	client.PrependReactor("create", "certificatesigningrequests", func(action clienttesting.Action) (bool, runtime.Object, error) {
		csr := action.(clienttesting.CreateAction).GetObject().(*certificatesv1.CertificateSigningRequest)
		request, err := certificates.Parse(csr.Spec.Request)
		if err != nil {
			return true, nil, err
		}
		if len(certificates.Recognize(csr, request)) == 0 || certificates.Check(csr, request) != nil {
			t.Error("the request of a node is not recognized")
		}
		csr.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue}}
		csr.Status.Certificate, err = authority.Sign(csr, request, year, time.Now())
		return err != nil, nil, err
	})
	return client
}
