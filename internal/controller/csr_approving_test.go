package controller_test

import (
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestCertificateSigningRequests has requests approved, by controllers and by people, and signed.
func TestCertificateSigningRequests(t *testing.T) {
	server := testserver.Start(t, "--enable-bootstrap-token-auth", "--authorization-mode=Node,RBAC")
	admin := server.Admin()
	bind(t, admin, "system:node-bootstrapper", "system:bootstrappers")
	bind(t, admin, roles+"nodeclient", "system:bootstrappers:permitted")
	permitted := server.As(bootstrapToken(t, admin, "permit", map[string]string{"auth-extra-groups": "system:bootstrappers:permitted"}))
	key := newKey(t)

	t.Run("a node gets its first certificate by a bootstrap token, and the next one by itself", func(t *testing.T) {
		certificate := issued(t, admin, submit(t, permitted, certificateRequest(t, kubeletSigner, key, nodeSubject("n1"))))
		if life := certificate.NotAfter.Sub(certificate.NotBefore); life != 365*24*time.Hour {
			t.Errorf("the certificate lives for %s", life)
		}
		node := holder(t, server, certificate, key)
		if who := whoami(t, node); who != "system:node:n1 system:nodes,system:authenticated" {
			t.Error(who)
		}
		next := submit(t, node, certificateRequest(t, kubeletSigner, newKey(t), nodeSubject("n1")))
		// Upstream binds nobody to the role, either.
		bind(t, admin, roles+"selfnodeclient", "system:nodes")
		issued(t, admin, next)
		csr, err := admin.CertificatesV1().CertificateSigningRequests().Get(t.Context(), next, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		approval := csr.Status.Conditions[0]
		if approval.Reason != "AutoApproved" || approval.Message != "Auto approving self kubelet client certificate after SubjectAccessReview." ||
			approval.LastUpdateTime.IsZero() {
			t.Errorf("approval: %+v", approval)
		}
	})
	t.Run("a requester without the permission waits for it", func(t *testing.T) {
		other := server.As(bootstrapToken(t, admin, "waiter", map[string]string{"auth-extra-groups": "system:bootstrappers:waiting"}))
		waiting := submit(t, other, certificateRequest(t, kubeletSigner, newKey(t), nodeSubject("n2")))
		issued(t, admin, submit(t, permitted, certificateRequest(t, kubeletSigner, newKey(t), nodeSubject("n2"))))
		undecided(t, admin, waiting)
		bind(t, admin, roles+"nodeclient", "system:bootstrappers:waiting")
		issued(t, admin, waiting)
	})
	t.Run("a person's certificate is for a person to approve", func(t *testing.T) {
		ann := pkix.Name{CommonName: "ann", Organization: []string{"dev"}}
		name := submit(t, admin, certificateRequest(t, clientSigner, key, ann))
		serving := certificateRequest(t, clientSigner, key, ann)
		serving.Spec.Usages = []certificatesv1.KeyUsage{certificatesv1.UsageServerAuth}
		wrong := submit(t, admin, serving)
		denied := submit(t, admin, certificateRequest(t, clientSigner, key, ann))
		foreign := submit(t, admin, certificateRequest(t, "example.com/x", key, ann))
		issued(t, admin, submit(t, permitted, certificateRequest(t, kubeletSigner, key, nodeSubject("n3"))))
		undecided(t, admin, name)

		approve(t, admin, denied, certificatesv1.CertificateDenied)
		approve(t, admin, foreign, certificatesv1.CertificateApproved)
		approve(t, admin, wrong, certificatesv1.CertificateApproved)
		approve(t, admin, name, certificatesv1.CertificateApproved)
		if who := whoami(t, holder(t, server, issued(t, admin, name), key)); who != "ann dev,system:authenticated" {
			t.Error(who)
		}
		if _, refusal := concluded(t, admin, wrong); refusal != "Failed SignerValidationFailure: invalid usage for client certificate: server auth" {
			t.Error(refusal)
		}
		for _, unsigned := range []string{denied, foreign} {
			csr, err := admin.CertificatesV1().CertificateSigningRequests().Get(t.Context(), unsigned, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(csr.Status.Certificate) > 0 || len(csr.Status.Conditions) != 1 {
				t.Errorf("%s has become %+v", unsigned, csr.Status)
			}
		}
	})
}

// undecided reports a request that was approved, denied or marked.
func undecided(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	csr, err := client.CertificatesV1().CertificateSigningRequests().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(csr.Status.Conditions) > 0 || len(csr.Status.Certificate) > 0 {
		t.Errorf("%s was decided about: %+v", name, csr.Status)
	}
}

// TestWritesOfTheCertificateControllers: what the controllers do to requests, the role of kube-controller-manager's account for them
// lets that account do.
func TestWritesOfTheCertificateControllers(t *testing.T) {
	log := filepath.Join(t.TempDir(), "audit.log")
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, resources: [{group: certificates.k8s.io}]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := testserver.Start(t, "--enable-bootstrap-token-auth", "--audit-log-path="+log, "--audit-policy-file="+policy)
	admin := server.Admin()
	bind(t, admin, "system:node-bootstrapper", "system:bootstrappers")
	bind(t, admin, roles+"nodeclient", "system:bootstrappers")
	issued(t, admin, submit(t, server.As(bootstrapToken(t, admin, "abcdef", nil)), certificateRequest(t, kubeletSigner, newKey(t), nodeSubject("n1"))))
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var did []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `"stage":"ResponseComplete"`) && strings.Contains(line, `"username":"system:apiserver"`) {
			_, verb, _ := strings.Cut(line, `"verb":"`)
			verb, _, _ = strings.Cut(verb, `"`)
			_, sub, _ := strings.Cut(line, `"subresource":"`)
			sub, _, _ = strings.Cut(sub, `"`)
			did = append(did, verb+" "+sub)
		}
	}
	if want := []string{"update approval", "update status"}; !slices.Equal(did, want) {
		t.Errorf("the server did %q to requests, want %q", did, want)
	}
	role, err := admin.RbacV1().ClusterRoles().Get(t.Context(), "system:controller:certificate-controller", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, needed := range []struct{ verb, resource, name string }{
		{"update", "certificatesigningrequests/approval", ""},
		{"update", "certificatesigningrequests/status", ""},
		{"delete", "certificatesigningrequests", ""},
		{"approve", "signers", kubeletSigner},
		{"sign", "signers", kubeletSigner},
		{"sign", "signers", clientSigner},
		{"sign", "signers", certificatesv1.KubeletServingSignerName},
		{"sign", "signers", "kubernetes.io/legacy-unknown"},
	} {
		if !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool {
			return slices.Contains(r.APIGroups, "certificates.k8s.io") && slices.Contains(r.Verbs, needed.verb) && slices.Contains(r.Resources, needed.resource) &&
				(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, needed.name))
		}) {
			t.Errorf("%s has no rule for %s %s %s", role.Name, needed.verb, needed.resource, needed.name)
		}
	}
}
