package agent_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mintmark/mintmark/internal/agent"
)

// asks are the requests that an agent on vm1 with the pod web has to make, as verb and URI.
var asks = []*regexp.Regexp{
	regexp.MustCompile(`^(get|create) /api/v1/nodes(/vm1)?$`),
	regexp.MustCompile(`^(list|watch) /api/v1/pods\?.*fieldSelector=spec.nodeName%3Dvm1`),
	regexp.MustCompile(`^create /api/v1/namespaces/default/serviceaccounts/app/token$`),
	regexp.MustCompile(`^(get|create|update) /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases(/vm1)?$`),
}

// TestAsksForNothingElse: an agent makes no request but those that it needs.
func TestAsksForNothingElse(t *testing.T) {
	t.Parallel()
	folder, dir := t.TempDir(), t.TempDir()
	policy, trail := filepath.Join(folder, "policy.yaml"), filepath.Join(folder, "audit.log")
	if err := os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, "--audit-policy-file="+policy, "--audit-log-path="+trail)
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	renew := make(chan struct{})
	config.Renew = renew
	c.pod("web", "vm1")
	c.pod("elsewhere", "vm2")
	stop := run(t, config)
	first := tokenFile(t, dir, "web")
	renew <- struct{}{}
	until(t, func() bool { return tokenFile(t, dir, "web") != first })
	c.check(stop())
	c.check(c.Stop()) // the log is complete
	text, err := os.ReadFile(trail)
	c.check(err)
	tokens := 0
	for line := range strings.Lines(string(text)) {
		var event struct {
			Verb, RequestURI string
			User             authenticationv1.UserInfo
		}
		c.check(json.Unmarshal([]byte(line), &event))
		if event.User.Username != "system:node:vm1" {
			continue
		}
		did := event.Verb + " " + event.RequestURI
		if !slices.ContainsFunc(asks, func(r *regexp.Regexp) bool { return r.MatchString(did) }) {
			t.Errorf("the agent did %s", did)
		}
		if strings.HasSuffix(did, "/token") {
			tokens++
		}
	}
	if tokens < 2 {
		t.Errorf("the agent asked for %d tokens, want 2", tokens)
	}
	if strings.Contains(string(text), first) {
		t.Error("a token is in the audit log")
	}
}

// asNode is a client with the credential in an agent's state directory.
func asNode(t *testing.T, dir string) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "state", "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestCredential: the credential that an agent keeps gets tokens for its own pods alone, and its kubeconfig is good for other clients.
func TestCredential(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	mine, theirs := c.pod("web", "vm1"), c.pod("elsewhere", "vm2")
	run(t, c.config(dir, "vm1", c.token("abcdef", "vm1")))
	tokenFile(t, dir, "web")
	node := asNode(t, dir)
	request := func(account, pod, uid string) error {
		spec := authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}}
		if pod != "" {
			spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod, UID: theirs.UID}
			if uid != "" {
				spec.BoundObjectRef.UID = mine.UID
			}
		}
		_, err := node.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
		return err
	}
	c.check(request("app", "web", "mine"))
	for name, err := range map[string]error{
		"a token of its pod's account, bound to nothing": request("app", "", ""),
		"a token for a pod of another node":              request("app", "elsewhere", ""),
		"a token of another account":                     request("default", "web", "mine"),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := node.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("all pods: %v", err)
	}
	if _, err := node.CoreV1().Secrets("kube-system").Get(t.Context(), "bootstrap-token-abcdef", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the bootstrap token's secret: %v", err)
	}
}

// certificateOf hashes the certificate and key that an agent keeps.
func certificateOf(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "state", "node.pem"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// TestCertificateIsRenewed: before its end the client certificate is replaced by one for a new key, and the agent goes on with it.
func TestCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	config.Once = true
	c.check(agent.Run(t.Context(), config))
	clock := clocktesting.NewFakeClock(time.Now())
	c.pod("web", "vm1")
	stop := run(t, agent.Config{RootDir: dir, Clock: clock})
	tokenFile(t, dir, "web")
	first := certificateOf(t, dir)
	clock.Step(200 * 24 * time.Hour) // of a year: nothing is due before 70 %
	until(t, clock.HasWaiters)
	if certificateOf(t, dir) != first {
		t.Fatal("the certificate was renewed too early")
	}
	clock.Step(135 * 24 * time.Hour)
	until(t, func() bool {
		clock.Step(11 * time.Second)
		return certificateOf(t, dir) != first
	})
	c.pod("later", "vm1")
	until(t, func() bool {
		clock.Step(11 * time.Second)
		_, err := os.Stat(filepath.Join(dir, "pods", "default_later", "volumes", "tokens", "vault-token"))
		return err == nil
	})
	c.check(stop())
	c.check(agent.Run(t.Context(), agent.Config{RootDir: dir, Once: true}))
}

// remove takes back the certificate that an agent keeps, and deletes the node and its pods, as "mintmark node remove" does.
func (c *cluster) remove(node, dir string) {
	c.t.Helper()
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "state", "node.pem"), filepath.Join(dir, "state", "node.pem"))
	c.check(err)
	// Certificates are dated five minutes back and to the second, and a later one is to be good.
	before := certificate.Leaf.NotBefore.Add(5*time.Minute + time.Second).Format(time.RFC3339)
	caller := c.Caller(c.AdminConfig())
	until(c.t, func() bool {
		_, status := caller.Do("POST /apis/mintmark.io/v1alpha1/tokenrevocations",
			"{metadata: {generateName: node-}, spec: {clientCertificate: {username: 'system:node:"+node+"'}, issuedBefore: '"+before+"', reason: removed}}")
		return status == http.StatusCreated // not while it is in the future
	})
	c.check(c.admin.CoreV1().Nodes().Delete(c.t.Context(), node, metav1.DeleteOptions{}))
	c.check(c.admin.CoreV1().Pods("default").DeleteCollection(c.t.Context(), *metav1.NewDeleteOptions(0), metav1.ListOptions{FieldSelector: "spec.nodeName=" + node}))
}

// TestRemovedNode: an agent whose certificate was revoked says so, and is not ready. Started with a new bootstrap
// token it joins again.
func TestRemovedNode(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	config.HealthAddress = freeAddress(t)
	renew := make(chan struct{})
	config.Renew = renew
	c.pod("web", "vm1")
	stop := run(t, config)
	token := tokenFile(t, dir, "web")
	c.remove("vm1", dir)
	renew <- struct{}{}
	text := ""
	until(t, func() bool {
		_, text = get(t, config.HealthAddress, "/readyz")
		return strings.Contains(text, "not ready: the server refuses the certificate of this node: the node was removed")
	})
	if status := c.review(token); status.Authenticated {
		t.Error("a token of a removed node is accepted")
	}
	c.check(stop())
	if err := agent.Run(t.Context(), agent.Config{RootDir: dir, Once: true}); err == nil || !strings.Contains(err.Error(), "To join again") {
		t.Errorf("the error is %v", err)
	}
	again := c.config(dir, "vm1", c.token("second", "vm1"))
	again.Once = true
	c.pod("web", "vm1")
	// A certificate of the second in which others were taken back is one of them.
	removed := time.Now().Unix()
	until(t, func() bool { return time.Now().Unix() > removed })
	c.check(agent.Run(t.Context(), again))
	if tokenFile(t, dir, "web") == token {
		t.Error("the token is that of the removed node")
	}
}
