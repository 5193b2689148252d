package agent_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/agent"
)

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
