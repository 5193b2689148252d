package controller_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

const nodeBootstrappers = "system:bootstrappers:mintmark:node"

// nodeToken makes a bootstrap token for one node, and returns its client.
func nodeToken(t *testing.T, server *testserver.Server, id, node string, more ...string) kubernetes.Interface {
	t.Helper()
	data := map[string]string{"auth-extra-groups": nodeBootstrappers, "node-name": node}
	for _, pair := range more {
		key, value, _ := strings.Cut(pair, "=")
		data[key] = value
	}
	return server.As(bootstrapToken(t, server.Admin(), id, data))
}

func addNode(t *testing.T, admin kubernetes.Interface, name string) {
	t.Helper()
	add(t, admin.CoreV1().Nodes().Create, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// refused reports a request that is created, or is refused with other words.
func refused(t *testing.T, client kubernetes.Interface, csr *certificatesv1.CertificateSigningRequest, words string) {
	t.Helper()
	_, err := client.CertificatesV1().CertificateSigningRequests().Create(t.Context(), csr, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want 403 with %q", err, words)
	}
}

// usedBy is what the secret of a token says of its use.
func usedBy(t *testing.T, admin kubernetes.Interface, id string) string {
	t.Helper()
	secret, err := admin.CoreV1().Secrets("kube-system").Get(t.Context(), "bootstrap-token-"+id, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(secret.Data["used-by"])
}

func keyHash(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// TestNodeTokens: a bootstrap token for one node is good for one key and the name of that node, as long as no other machine has it.
func TestNodeTokens(t *testing.T) {
	server := testserver.Start(t, "--enable-bootstrap-token-auth")
	admin := server.Admin()
	bind(t, admin, "system:node-bootstrapper", nodeBootstrappers)
	bind(t, admin, roles+"nodeclient", nodeBootstrappers)
	key := newKey(t)
	mine := func(key *ecdsa.PrivateKey, node string) *certificatesv1.CertificateSigningRequest {
		return certificateRequest(t, kubeletSigner, key, nodeSubject(node))
	}
	denied := func(what string, client kubernetes.Interface, csr *certificatesv1.CertificateSigningRequest, words string) {
		t.Helper()
		if _, refusal := concluded(t, admin, submit(t, client, csr)); refusal != "Denied BootstrapTokenRefused: "+words {
			t.Errorf("%s: %q", what, refusal)
		}
	}

	token := nodeToken(t, server, "vm1vm1", "vm1")
	refused(t, token, mine(key, "vm2"), `the bootstrap token is good for the node "vm1" alone, so the common name must be "system:node:vm1", not "system:node:vm2"`)
	refused(t, token, certificateRequest(t, clientSigner, key, nodeSubject("vm1")), "good for the signer kubernetes.io/kube-apiserver-client-kubelet alone")
	refused(t, token, certificateRequest(t, "example.com/x", key, nodeSubject("vm1")), "good for the signer kubernetes.io/kube-apiserver-client-kubelet alone")
	if used := usedBy(t, admin, "vm1vm1"); used != "" {
		t.Errorf("refused requests used the token: %s", used)
	}
	certificate := issued(t, admin, submit(t, token, mine(key, "vm1")))
	if who := whoami(t, holder(t, server, certificate, key)); who != "system:node:vm1 system:nodes,system:authenticated" {
		t.Error(who)
	}
	if used := usedBy(t, admin, "vm1vm1"); used != keyHash(t, key) {
		t.Errorf("used by %q", used)
	}
	addNode(t, admin, "vm1")
	issued(t, admin, submit(t, token, mine(key, "vm1"))) // a machine that was interrupted
	denied("a second key", token, mine(newKey(t), "vm1"), "the bootstrap token was used with another key already: make a new one with 'mintmark node add vm1'")

	denied("a name that is taken", nodeToken(t, server, "taken1", "vm1"), mine(newKey(t), "vm1"),
		`there is a node "vm1" already: choose another name, or have this machine take its place with 'mintmark node add vm1 --rejoin'`)
	if used := usedBy(t, admin, "taken1"); used != "" {
		t.Errorf("a denied request used the token: %s", used)
	}
	again := newKey(t)
	issued(t, admin, submit(t, nodeToken(t, server, "rejoin", "vm1", "rejoin=true"), mine(again, "vm1")))
	if used := usedBy(t, admin, "rejoin"); used != keyHash(t, again) {
		t.Errorf("used by %q", used)
	}

	expired := nodeToken(t, server, "expird", "vm3", "expiration=2020-01-01T00:00:00Z")
	if _, err := expired.CertificatesV1().CertificateSigningRequests().Create(t.Context(), mine(key, "vm3"), metav1.CreateOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("an expired token: %v", err)
	}
	refused(t, nodeToken(t, server, "noname", ""), mine(key, "vm3"), "its secret names none")
	config := server.AdminConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:bootstrap:gone12", Groups: []string{nodeBootstrappers, "system:authenticated"}}
	gone, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, gone, mine(key, "vm3"), "the bootstrap token is gone or has expired")
	// The limit goes with the name in the secret, too, whatever the groups.
	refused(t, server.As(bootstrapToken(t, admin, "groups", map[string]string{
		"node-name": "vm4", "auth-extra-groups": "system:bootstrappers:other",
	})), mine(key, "vm5"), "cannot create resource") // that group has no permission at all
	bind(t, admin, "system:node-bootstrapper", "system:bootstrappers")
	refused(t, server.As(bootstrapToken(t, admin, "nogrps", map[string]string{"node-name": "vm4"})), mine(key, "vm5"), `good for the node "vm4" alone`)
}

// TestNodeTokensAtTheApproval: what was asked for in time is held to the rules again when it is approved, by controllers that begin
// later.
func TestNodeTokensAtTheApproval(t *testing.T) {
	data := "--data-dir=" + t.TempDir()
	server := testserver.Start(t, data, "--enable-bootstrap-token-auth", "--controllers=")
	admin := server.Admin()
	bind(t, admin, "system:node-bootstrapper", nodeBootstrappers)
	bind(t, admin, roles+"nodeclient", nodeBootstrappers)
	request := func(id, node string) string {
		return submit(t, nodeToken(t, server, id, node), certificateRequest(t, kubeletSigner, newKey(t), nodeSubject(node)))
	}
	change := func(id, key, value string) {
		t.Helper()
		secrets := admin.CoreV1().Secrets("kube-system")
		secret, err := secrets.Get(t.Context(), "bootstrap-token-"+id, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		secret.Data[key] = []byte(value)
		if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	good, gone, expired, renamed, taken := request("goodgd", "a"), request("gonegn", "b"), request("expire", "c"), request("rename", "d"), request("takent", "e")
	if err := admin.CoreV1().Secrets("kube-system").Delete(t.Context(), "bootstrap-token-gonegn", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	change("expire", "expiration", "2020-01-01T00:00:00Z")
	change("rename", "node-name", "other")
	addNode(t, admin, "e")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	admin = testserver.Start(t, data, "--controllers=csrapproving,csrsigning").Admin()
	issued(t, admin, good)
	for name, words := range map[string]string{
		gone:    "the bootstrap token is gone or has expired: make a new one with 'mintmark node add NAME'",
		expired: "the bootstrap token is gone or has expired: make a new one with 'mintmark node add NAME'",
		renamed: `the bootstrap token is good for the node "other" alone`,
		taken:   `there is a node "e" already`,
	} {
		if _, refusal := concluded(t, admin, name); !strings.HasPrefix(refusal, "Denied BootstrapTokenRefused: "+words) {
			t.Errorf("%q, want %q", refusal, words)
		}
	}
}
