package agent_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

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
	pod, err := c.admin.CoreV1().Pods("default").Create(c.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "app",
			Containers: []corev1.Container{{Name: "main", Image: "none"}},
			Volumes: []corev1.Volume{{Name: "tokens", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault", Path: "vault-token"}}},
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

// TestJoin: from the line of "node add" to a file, and on with no flag but the directory.
func TestJoin(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	token := c.token("abcdef", "vm1")
	c.pod("web", "vm1")
	c.pod("elsewhere", "vm2")
	stop := run(t, c.config(dir, "vm1", token))
	first := tokenFile(t, dir, "web")
	status := c.review(first)
	want := map[string]string{"authentication.kubernetes.io/pod-name": "web", "authentication.kubernetes.io/node-name": "vm1"}
	for key, value := range want {
		if got := status.User.Extra[key]; len(got) != 1 || got[0] != value {
			t.Errorf("%s is %v, want %s", key, got, value)
		}
	}
	if status.User.Username != "system:serviceaccount:default:app" {
		t.Errorf("the user is %q (%s)", status.User.Username, status.Error)
	}
	node, err := c.admin.CoreV1().Nodes().Get(t.Context(), "vm1", metav1.GetOptions{})
	c.check(err)
	for _, label := range []string{corev1.LabelHostname, corev1.LabelOSStable, corev1.LabelArchStable} {
		if node.Labels[label] == "" {
			t.Errorf("the node has no label %s: %v", label, node.Labels)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "pods", "default_elsewhere")); err == nil {
		t.Error("a pod of another node has files here")
	}
	checkState(t, filepath.Join(dir, "state"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if tokenFile(t, dir, "web") != first {
		t.Error("the end of the agent changed the file")
	}
	// The bootstrap token is needed no more.
	c.check(c.admin.CoreV1().Secrets("kube-system").Delete(t.Context(), "bootstrap-token-abcdef", metav1.DeleteOptions{}))
	run(t, agent.Config{RootDir: dir})
	until(t, func() bool { return tokenFile(t, dir, "web") != first })
	// A pod that goes takes its files along.
	c.check(c.admin.CoreV1().Pods("default").Delete(t.Context(), "web", *metav1.NewDeleteOptions(0)))
	until(t, func() bool {
		_, err := os.Stat(filepath.Join(dir, "pods", "default_web"))
		return os.IsNotExist(err)
	})
}

// checkState checks what the state directory holds, and who may read it.
func checkState(t *testing.T, dir string) {
	t.Helper()
	got := map[string]fs.FileMode{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		got[entry.Name()] = info.Mode()
	}
	want := map[string]fs.FileMode{"ca.crt": 0o600, "kubeconfig": 0o600, "lock": 0o600, "node.pem": 0o600}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the state directory (-want +got):\n%s", diff)
	}
}

// TestJoinIsResumed: an agent that ended before it had its certificate goes on with the key and the request that it made.
func TestJoinIsResumed(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t, "--controllers=*,-certificatesigningrequest-approving-controller"), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	requests := func() []certificatesv1.CertificateSigningRequest {
		list, err := c.admin.CertificatesV1().CertificateSigningRequests().List(t.Context(), metav1.ListOptions{})
		c.check(err)
		return list.Items
	}
	stop := run(t, config)
	until(t, func() bool { return len(requests()) == 1 })
	c.check(stop())
	kept, err := os.Stat(filepath.Join(dir, "state", "join.key"))
	if err != nil || kept.Mode() != 0o600 {
		t.Fatalf("the key of the join is not kept as it should be: %v, %v", kept, err)
	}
	run(t, config)
	request := requests()[0]
	request.Status.Conditions = append(request.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test",
	})
	_, err = c.admin.CertificatesV1().CertificateSigningRequests().UpdateApproval(t.Context(), request.Name, &request, metav1.UpdateOptions{})
	c.check(err)
	until(t, func() bool {
		_, err := c.admin.CoreV1().Nodes().Get(t.Context(), "vm1", metav1.GetOptions{})
		return err == nil
	})
	if all := requests(); len(all) != 1 {
		t.Errorf("there are %d requests, want the one that was made first", len(all))
	}
	if _, err := os.Stat(filepath.Join(dir, "state", "join.key")); !os.IsNotExist(err) {
		t.Errorf("the key of the join is still there: %v", err)
	}
}

// TestJoinRefused: a refused join ends with a sentence that says what to do, without the token in it.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	used := c.token("usedup", "vm2")
	run(t, c.config(t.TempDir(), "vm2", used))
	until(t, func() bool {
		_, err := c.admin.CoreV1().Nodes().Get(t.Context(), "vm2", metav1.GetOptions{})
		return err == nil
	})
	for name, test := range map[string]struct{ node, token, want string }{
		"an unknown token":        {"vm1", "wrong0.0123456789abcdef", "does not accept the bootstrap token"},
		"a wrong secret":          {"vm1", strings.Replace(c.token("abcdef", "vm1"), "0123", "3210", 1), "does not accept the bootstrap token"},
		"a token that has ended":  {"vm1", c.token("ended0", "vm1", "expiration", time.Now().Add(-time.Minute).Format(time.RFC3339)), "does not accept the bootstrap token"},
		"another name":            {"vm1", c.token("other0", "vm9"), `is good for the node "vm9" alone`},
		"a token that was used":   {"vm2", used, "was used with another key already"},
		"a name that is taken":    {"vm2", c.token("second", "vm2"), `there is a node "vm2" already`},
		"not a token":             {"vm1", "abc.def", "the bootstrap token is not one"},
		"a service account token": {"vm1", "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl", "the bootstrap token is not one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := agent.Run(ctx, c.config(dir, test.node, test.token))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "mintmark node add") {
				t.Errorf("the error is\n%v\nwant\n%s", err, test.want)
			}
			if _, secret, _ := strings.Cut(test.token, "."); err != nil && strings.Contains(err.Error(), secret) {
				t.Error("the token is in the error")
			}
			if _, err := os.Stat(filepath.Join(dir, "state", "node.pem")); err == nil {
				t.Error("there is a certificate")
			}
		})
	}
}

// TestDirectories: one agent to a directory, and one node.
func TestDirectories(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	c.pod("web", "vm1")
	stop := run(t, config)
	tokenFile(t, dir, "web")
	refuses := func(name string, config agent.Config, want string) {
		t.Helper()
		if err := agent.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is\n%v\nwant\n%s", name, err, want)
		}
	}
	refuses("the same directories", agent.Config{RootDir: dir}, "is in use by")
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(dir, "state"))); err != nil {
		t.Fatal(err)
	}
	refuses("a key that others can read", agent.Config{RootDir: dir, StateDir: copied}, "node.pem can be read by others") // the copy has 0644
	for _, name := range []string{"node.pem", "kubeconfig", "lock"} {
		c.check(os.Chmod(filepath.Join(copied, name), 0o600))
	}
	refuses("the same root directory", agent.Config{RootDir: dir, StateDir: copied}, "another process keeps the volumes")
	c.check(stop())
	refuses("another node", agent.Config{RootDir: dir, NodeName: "vm2"}, "belongs to the node vm1")
	open := filepath.Join(t.TempDir(), "open")
	c.check(os.Mkdir(open, 0o700))
	c.check(os.Chmod(open, 0o777))
	refuses("a root directory that everybody can write to", agent.Config{RootDir: open, StateDir: copied}, "everybody can write to")
	if os.Getuid() != 0 {
		return
	}
	foreign := t.TempDir()
	c.check(os.Chown(foreign, 12345, 12345))
	refuses("a root directory of another user", agent.Config{RootDir: foreign, StateDir: copied}, "belongs to user 12345")
	refuses("a state directory of another user", agent.Config{RootDir: dir, StateDir: foreign}, "who could put keys of their own there")
}

// TestOnce: all files are written and the agent ends, and what can't be written is said.
func TestOnce(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	config.Once = true
	c.check(agent.Run(t.Context(), config)) // no pods, no files
	c.pod("web", "vm1")
	c.check(agent.Run(t.Context(), agent.Config{RootDir: dir, Once: true}))
	if status := c.review(tokenFile(t, dir, "web")); !status.Authenticated {
		t.Errorf("refused: %s", status.Error)
	}
}

// offsetClock is a clock that is off.
type offsetClock struct {
	clock.RealClock
	by time.Duration
}

func (c offsetClock) Now() time.Time                     { return time.Now().Add(c.by) }
func (c offsetClock) Since(from time.Time) time.Duration { return c.Now().Sub(from) }

// TestClockOff: with a clock that is an hour off the files are as good and as fresh as with a right one, and the difference is told.
func TestClockOff(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	config.Once = true
	c.pod("web", "vm1")
	c.check(agent.Run(t.Context(), config))
	for by, want := range map[time.Duration]string{time.Hour: "ahead of that of the server", -time.Hour: "behind that of the server"} {
		before := tokenFile(t, dir, "web")
		config := agent.Config{RootDir: dir, HealthAddress: freeAddress(t), Clock: offsetClock{by: by}}
		stop := run(t, config)
		until(t, func() bool { return tokenFile(t, dir, "web") != before })
		text := ""
		until(t, func() bool {
			_, text = get(t, config.HealthAddress, "/readyz")
			return strings.HasPrefix(text, "ok\n")
		})
		if !strings.Contains(text, want) || !strings.Contains(text, "good for 59m") {
			t.Errorf("/readyz says\n%s", text)
		}
		c.check(stop())
	}
}

// TestNotify: systemd is told when the first files are there, what is missing until then, and that the agent stops.
func TestNotify(t *testing.T) {
	c, dir := newCluster(t), t.TempDir()
	socket := filepath.Join(dir, "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	c.check(err)
	defer func() { _ = listener.Close() }()
	t.Setenv("NOTIFY_SOCKET", socket)
	next := func() string {
		t.Helper()
		c.check(listener.SetReadDeadline(time.Now().Add(time.Minute)))
		buffer := make([]byte, 4096)
		n, err := listener.Read(buffer)
		c.check(err)
		return string(buffer[:n])
	}
	c.pod("web", "vm1")
	stop := run(t, c.config(filepath.Join(dir, "root"), "vm1", c.token("abcdef", "vm1")))
	var told []string
	for len(told) == 0 || told[len(told)-1] != "READY=1" {
		told = append(told, next())
	}
	if !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, "STATUS=not ready: ") }) {
		t.Errorf("told %q, and not what is missing", told)
	}
	if _, err := os.Stat(filepath.Join(dir, "root", "pods", "default_web", "volumes", "tokens", "vault-token")); err != nil {
		t.Errorf("told to be ready without the file: %v", err)
	}
	go func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	last := ""
	for last != "STOPPING=1" {
		last = next()
	}
}

// freeAddress is an address for the health of an agent.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func get(t *testing.T, address, path string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// TestHealth: the agent is ready while the tokens in the files are good, also without the server.
func TestHealth(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	config.HealthAddress = freeAddress(t)
	c.pod("web", "vm1")
	run(t, config)
	until(t, func() bool {
		status, _ := get(t, config.HealthAddress, "/readyz")
		return status == http.StatusOK
	})
	_, text := get(t, config.HealthAddress, "/readyz")
	for _, want := range []string{"ok\n", "node vm1: its certificate is good for ", "volume tokens of pod default/web: good for 59m", "server " + c.URL + ": answers"} {
		if !strings.Contains(text, want) {
			t.Errorf("/readyz says\n%s\nwant %q in it", text, want)
		}
	}
	if status, _ := get(t, config.HealthAddress, "/livez"); status != http.StatusOK {
		t.Errorf("/livez answers %d", status)
	}
	_, text = get(t, config.HealthAddress, "/metrics")
	for _, want := range []string{"mintmark_agent_certificate_expiration_timestamp_seconds 1", "mintmark_agent_token_expiration_timestamp_seconds 1", "mintmark_agent_refused 0", "process_resident_memory_bytes"} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics does not have %q", want)
		}
	}
	token := tokenFile(t, dir, "web")
	c.check(c.Stop())
	until(t, func() bool {
		_, text = get(t, config.HealthAddress, "/readyz")
		return strings.Contains(text, "has not answered for ")
	})
	if !strings.HasPrefix(text, "ok\n") || tokenFile(t, dir, "web") != token {
		t.Errorf("without the server /readyz says\n%s", text)
	}
	if strings.Contains(text, token) {
		t.Error("a token is in the text")
	}
}
