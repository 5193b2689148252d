package admission_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"

	mintmarkadmission "github.com/mintmark/mintmark/internal/admission"
)

const (
	kubeletClient  = certificatesv1.KubeAPIServerClientKubeletSignerName
	kubeletServing = certificatesv1.KubeletServingSignerName
	client         = certificatesv1.KubeAPIServerClientSignerName
)

// signingRequest returns a request of a subject for a signer.
func signingRequest(t *testing.T, name, signer string, subject pkix.Name) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), SignerName: signer,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}
}

// A node asks for certificates of its own name, before anything else about the request is looked at, and whatever further rights it
// has. What other signers are asked for is not NodeRestriction's.
func TestNodeAsksForItself(t *testing.T) {
	t.Parallel()
	kubelet, admin := node(t, "n1")
	allowAll(t, admin, "n1")
	const refusal = "can only create a node CSR with CN=system:node:n1"
	for _, test := range []struct {
		signer, name, refusal string
		change                func(*certificatesv1.CertificateSigningRequest)
	}{
		{kubeletClient, "system:node:n1", "", nil},
		{kubeletServing, "system:node:n1", "", nil},
		{kubeletClient, "system:node:n2", refusal, nil},
		{kubeletServing, "system:node:n2", refusal, nil},
		{kubeletClient, "System:Node:n1", refusal, nil},
		{kubeletClient, "", refusal, nil},
		{client, "system:node:n2", "", nil},
		{"example.com/nodes", "system:node:n2", "", nil},
		{kubeletClient, "system:node:n2", refusal, func(c *certificatesv1.CertificateSigningRequest) { c.Spec.Usages = nil }},
		{kubeletClient, "system:node:n1", "unable to parse csr: PEM block type must be CERTIFICATE REQUEST", func(c *certificatesv1.CertificateSigningRequest) {
			c.Spec.Request = []byte("x")
		}},
	} {
		csr := signingRequest(t, "csr-", test.signer, pkix.Name{Organization: []string{"system:nodes"}, CommonName: test.name})
		if test.change != nil {
			test.change(csr)
		}
		_, err := kubelet.CertificatesV1().CertificateSigningRequests().Create(t.Context(), csr, metav1.CreateOptions{})
		refused(t, test.signer+" "+test.name, err, test.refusal)
	}
}

// Nobody asks for a client certificate of the group that may do everything, by whichever door.
func TestNobodyAsksForEverything(t *testing.T) {
	t.Parallel()
	_, admin := node(t, "n1")
	requests := admin.CertificatesV1().CertificateSigningRequests()
	const refusal = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
	masters := pkix.Name{CommonName: "ada", Organization: []string{"team", "system:masters"}}
	for _, test := range []struct {
		signer  string
		subject pkix.Name
		refusal string
	}{
		{client, masters, refusal},
		{client, pkix.Name{CommonName: "system:masters", OrganizationalUnit: []string{"system:masters"}}, ""},
		{client, pkix.Name{Organization: []string{"System:Masters"}}, ""},
		{"example.com/people", masters, ""},
	} {
		_, err := requests.Create(t.Context(), signingRequest(t, "csr-", test.signer, test.subject), metav1.CreateOptions{})
		refused(t, test.signer+" "+test.subject.String(), err, test.refusal)
	}
	_, err := requests.Create(t.Context(), signingRequest(t, "csr-", client, masters), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	refused(t, "dry run", err, refusal)
	csr := signingRequest(t, "", client, masters)
	csr.APIVersion, csr.Kind, csr.Name = "certificates.k8s.io/v1", "CertificateSigningRequest", "applied"
	applied, err := json.Marshal(csr)
	if err != nil {
		t.Fatal(err)
	}
	_, err = requests.Patch(t.Context(), "applied", types.ApplyPatchType, applied, metav1.PatchOptions{FieldManager: "test"})
	refused(t, "apply", err, refusal)
}

// Who may approve or sign for a signer is asked of the stored request's signer, and by the domain as well. An authorizer that fails
// has not allowed it, whatever it answered.
func TestSignersAreAskedFor(t *testing.T) {
	t.Parallel()
	stored := signingRequest(t, "a", "example.com/people", pkix.Name{})
	approved := stored.DeepCopy()
	approved.Spec.SignerName = "example.com/others"
	approved.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved}}
	for _, test := range []struct {
		allowed []string
		err     error
		want    bool
	}{
		{nil, nil, false},
		{[]string{"example.com/people"}, nil, true},
		{[]string{"example.com/*"}, nil, true},
		{[]string{"example.com/others", "*", "example.com", "example.com/", "*/*"}, nil, false},
		{[]string{"example.com/people", "example.com/*"}, errors.New("the store is away"), false},
	} {
		for verb, subresource := range map[string]string{"approve": "approval", "sign": "status"} {
			asked := authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
				right := a.GetVerb() == verb && a.GetAPIGroup() == "certificates.k8s.io" && a.GetAPIVersion() == "*" && a.GetResource() == "signers" &&
					a.GetSubresource() == "" && a.GetNamespace() == "" && a.IsResourceRequest()
				if right && slices.Contains(test.allowed, a.GetName()) {
					return authorizer.DecisionAllow, "", test.err
				}
				return authorizer.DecisionNoOpinion, "", test.err
			})
			attributes := admission.NewAttributesRecord(approved, stored, certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"), "", "a",
				certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), subresource, admission.Update, nil, false, &user.DefaultInfo{})
			var plugin admission.ValidationInterface = mintmarkadmission.CertificateApproval{Authorizer: asked}
			if subresource == "status" {
				plugin = mintmarkadmission.CertificateSigning{Authorizer: asked}
			}
			if err := plugin.Validate(t.Context(), attributes, nil); (err == nil) != test.want {
				t.Errorf("%s, allowed for %v (%v): %v", verb, test.allowed, test.err, err)
			}
		}
	}
}

// The default role of approvers doesn't give the right to write approvals, and a right to write them doesn't give that to approve.
func TestApproversNeedTwoRights(t *testing.T) {
	t.Parallel()
	kubelet, admin := node(t, "n1")
	csr, err := admin.CertificatesV1().CertificateSigningRequests().Create(t.Context(), signingRequest(t, "csr-", client, pkix.Name{CommonName: "ada"}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	csr.ResourceVersion = ""
	csr.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: "True"}}
	approve := func() error {
		_, err := kubelet.CertificatesV1().CertificateSigningRequests().UpdateApproval(t.Context(), csr.Name, csr, metav1.UpdateOptions{})
		return err
	}
	const read = "certificatesigningrequests/approval"
	bindNode(t, admin, "approver", "system:certificates.k8s.io:kube-apiserver-client-approver")
	refused(t, "with the role alone", approve(), `cannot update resource "`+read+`"`)
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "writer"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"certificates.k8s.io"}, Resources: []string{read}, Verbs: []string{"update"}}},
	}
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bindNode(t, admin, "writer", "writer")
	refused(t, "with both", approve(), "")
	if err := admin.RbacV1().ClusterRoleBindings().Delete(t.Context(), "approver", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	refused(t, "with the right to write alone", approve(), `user not permitted to approve requests with signerName "kubernetes.io/kube-apiserver-client"`)
}

// bindNode gives the node n1 a role.
func bindNode(t *testing.T, admin kubernetes.Interface, name, role string) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "system:node:n1"}},
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
