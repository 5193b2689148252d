package controller

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	clienttesting "k8s.io/client-go/testing"
)

// permission lets everybody do everything, from when it is given.
type permission struct{ given, asked atomic.Int64 }

func (p *permission) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	p.asked.Add(1)
	if p.given.Load() == 0 {
		return authorizer.DecisionNoOpinion, "", nil
	}
	return authorizer.DecisionAllow, "", nil
}

// meeting lets everybody do everything when it has been asked about two requests, which by then have been read together with the
// secret of their token.
type meeting struct {
	mu    sync.Mutex
	asked map[string]bool
	met   chan struct{}
}

func (m *meeting) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	m.mu.Lock()
	name := a.GetUser().GetUID()
	first := !m.asked[name]
	m.asked[name] = true
	if first && len(m.asked) == 2 {
		close(m.met)
	}
	m.mu.Unlock()
	if first {
		<-m.met
	}
	select {
	case <-m.met:
		return authorizer.DecisionAllow, "", nil
	default:
		return authorizer.DecisionNoOpinion, "", nil
	}
}

// addRequest stores a request by a bootstrap token for the client certificate of the node vm1, with a key of its own.
func (c *cluster) addRequest(t *testing.T, name string, change func(*certificatesv1.CertificateSigningRequest)) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:vm1"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName, Username: "system:bootstrap:abcdef", UID: name,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}
	if change != nil {
		change(csr)
	}
	if _, err := c.CertificatesV1().CertificateSigningRequests().Create(t.Context(), csr, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// conditions tells the conditions of a request.
func (c *cluster) conditions(t *testing.T, name string) string {
	t.Helper()
	csr, err := c.CertificatesV1().CertificateSigningRequests().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, condition := range csr.Status.Conditions {
		all = append(all, fmt.Sprintf("%s %s: %s", condition.Type, condition.Reason, condition.Message))
	}
	return strings.Join(all, "; ")
}

func (c *cluster) addNodeToken(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: "bootstrap.kubernetes.io/token",
		Data: map[string][]byte{"node-name": []byte("vm1")},
	}
	if _, err := c.CoreV1().Secrets("kube-system").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestTwoApproversAtOnce: two replicas that both believe they lead look at two requests by the same token for one node at the same
// time. One of the requests is approved, and the other one is denied.
func TestTwoApproversAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addNodeToken(t)
		cfg := Config{Certificates: &CertificateRequests{View: c.requests, Authorizer: &meeting{asked: map[string]bool{}, met: make(chan struct{})}}}
		c.run(t, cfg, "certificatesigningrequest-approving-controller")
		c.addRequest(t, "one", nil)
		synctest.Wait() // the first replica has read the secret
		c.addRequest(t, "other", nil)
		c.run(t, cfg, "certificatesigningrequest-approving-controller")
		time.Sleep(time.Minute)
		synctest.Wait()
		got := []string{c.conditions(t, "one"), c.conditions(t, "other")}
		slices.Sort(got)
		want := []string{
			"Approved AutoApproved: Auto approving kubelet client certificate after SubjectAccessReview.",
			"Denied BootstrapTokenRefused: the bootstrap token was used with another key already: make a new one with 'mintmark node add vm1'",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

// TestApprovalIsForOneVersion: a request that a person denies at the same moment is not approved.
func TestApprovalIsForOneVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		p := &permission{}
		p.given.Store(1)
		var once sync.Once
		c.before = func(action clienttesting.Action) error {
			if action.Matches("update", "certificatesigningrequests") {
				once.Do(func() {
					c.mu.Lock()
					defer c.mu.Unlock()
					obj, err := c.get("certificatesigningrequests", "", "one")
					if err != nil {
						t.Error(err)
						return
					}
					obj.(*certificatesv1.CertificateSigningRequest).Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{
						{Type: certificatesv1.CertificateDenied, Reason: "Person", Message: "no"},
					}
					if _, err := c.update("certificatesigningrequests", "", obj); err != nil {
						t.Error(err)
					}
				})
			}
			return nil
		}
		c.run(t, Config{Certificates: &CertificateRequests{View: c.requests, Authorizer: p}}, "certificatesigningrequest-approving-controller")
		c.addRequest(t, "one", nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := c.conditions(t, "one"); got != "Denied Person: no" {
			t.Errorf("got %q", got)
		}
	})
}

// TestReviewsOfAPermissionThatIsMissing: the pauses between the reviews grow with the age of the request, and the permission counts
// when it is there.
func TestReviewsOfAPermissionThatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		p := &permission{}
		c.run(t, Config{Certificates: &CertificateRequests{View: c.requests, Authorizer: p}}, "certificatesigningrequest-approving-controller")
		c.addRequest(t, "one", nil)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if asked := p.asked.Load(); asked < 86 || asked > 110 {
			t.Errorf("%d reviews in a day", asked)
		}
		if got := c.conditions(t, "one"); got != "" {
			t.Errorf("the request has become %q", got)
		}
		p.given.Store(1)
		time.Sleep(1000 * time.Second)
		synctest.Wait()
		if got := c.conditions(t, "one"); !strings.HasPrefix(got, "Approved AutoApproved") {
			t.Errorf("after the permission came: %q", got)
		}
	})
}

// TestRequestCleaner: a request goes within an hour after its time has come, and not before.
func TestRequestCleaner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		with := func(kind certificatesv1.RequestConditionType) func(*certificatesv1.CertificateSigningRequest) {
			return func(csr *certificatesv1.CertificateSigningRequest) {
				csr.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: kind, Status: corev1.ConditionTrue, LastUpdateTime: metav1.Now()}}
			}
		}
		c.addRequest(t, "pending", nil)
		c.addRequest(t, "approved", with(certificatesv1.CertificateApproved))
		c.addRequest(t, "denied", with(certificatesv1.CertificateDenied))
		c.addRequest(t, "other", with("Other"))
		c.run(t, Config{Certificates: &CertificateRequests{View: c.requests}}, "certificatesigningrequest-cleaner-controller")
		left := func() (names []string) {
			for _, name := range []string{"approved", "denied", "other", "pending"} {
				if _, err := c.CertificatesV1().CertificateSigningRequests().Get(t.Context(), name, metav1.GetOptions{}); err == nil {
					names = append(names, name)
				}
			}
			return names
		}
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{time.Hour, "approved denied other pending"},
			{time.Hour + time.Second, "approved other pending"},
			{21 * time.Hour, "approved other pending"},
			{3 * time.Hour, "other"},
			{1000 * time.Hour, "other"},
		} {
			time.Sleep(step.after)
			synctest.Wait()
			if got := strings.Join(left(), " "); got != step.want {
				t.Errorf("after another %s: %q, want %q", step.after, got, step.want)
			}
		}
	})
}
