package agent_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/agent"
	"github.com/mintmark/mintmark/internal/testserver"
)

const bootstrappers = "system:bootstrappers:mintmark:node"

// cluster is a server in which nodes can join and the account default/app has pods.
type cluster struct {
	*testserver.Server
	t     *testing.T
	admin kubernetes.Interface
	pin   string
}

func newCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	server := testserver.Start(t, flags...)
	block, _ := pem.Decode(server.RootCAs)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo) // as kubeadm has it
	c := &cluster{server, t, server.Admin(), "sha256:" + hex.EncodeToString(sum[:])}
	c.grant(bootstrappers, "system:node-bootstrapper")
	c.grant(bootstrappers, "system:certificates.k8s.io:certificatesigningrequests:nodeclient")
	c.grant("system:nodes", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient")
	_, err = c.admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{})
	c.check(err)
	return c
}

func (c *cluster) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) grant(group, role string) {
	c.t.Helper()
	_, err := c.admin.RbacV1().ClusterRoleBindings().Create(c.t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}, metav1.CreateOptions{})
	c.check(err)
}

// token makes a bootstrap token for a node. more are further keys of its secret.
func (c *cluster) token(id, node string, more ...string) string {
	c.t.Helper()
	data := map[string]string{
		"token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
		"auth-extra-groups": bootstrappers, "node-name": node,
	}
	for i := 0; i < len(more); i += 2 {
		data[more[i]] = more[i+1]
	}
	_, err := c.admin.CoreV1().Secrets("kube-system").Create(c.t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id}, Type: corev1.SecretTypeBootstrapToken, StringData: data,
	}, metav1.CreateOptions{})
	c.check(err)
	return id + ".0123456789abcdef"
}

// pod makes a pod of the account app with a token for Vault.
func (c *cluster) pod(name, node string) *corev1.Pod {
	c.t.Helper()
	return c.podAt(name, node, "vault-token")
}

// podAt makes such a pod whose token is at a path.
func (c *cluster) podAt(name, node, path string) *corev1.Pod {
	c.t.Helper()
	pod, err := c.admin.CoreV1().Pods("default").Create(c.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "app",
			Containers: []corev1.Container{{Name: "main", Image: "none"}},
			Volumes: []corev1.Volume{{Name: "tokens", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault", Path: path}}},
			}}}},
		},
	}, metav1.CreateOptions{})
	c.check(err)
	return pod
}

// config is that of an agent in a directory, with what "node add" prints.
func (c *cluster) config(dir, node, token string) agent.Config {
	return agent.Config{Server: c.URL, NodeName: node, BootstrapToken: token, AuthorityHashes: []string{c.pin}, RootDir: dir}
}

// run runs an agent until the test ends or stop is called, which returns its error.
func run(t *testing.T, config agent.Config) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- agent.Run(ctx, config) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

// tokenFile returns what the file of a pod's token holds, and waits for it.
func tokenFile(t *testing.T, dir, pod string) string {
	t.Helper()
	file, token := filepath.Join(dir, "pods", "default_"+pod, "volumes", "tokens", "vault-token"), ""
	until(t, func() bool {
		data, err := os.ReadFile(file)
		token = string(data)
		return err == nil
	})
	return token
}

func (c *cluster) review(token string) authenticationv1.TokenReviewStatus {
	c.t.Helper()
	review, err := c.admin.AuthenticationV1().TokenReviews().Create(c.t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{"vault"}},
	}, metav1.CreateOptions{})
	c.check(err)
	return review.Status
}
