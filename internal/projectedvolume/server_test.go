package projectedvolume_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/internal/projectedvolume"
	"github.com/mintmark/mintmark/internal/testserver"
)

// machine is a keeper as the node vm1 of a real server, whose clock the test moves on.
type machine struct {
	*projectedvolume.Keeper
	t       *testing.T
	clock   *clocktesting.FakeClock
	changed chan struct{}
	root    string
}

// newMachine starts one. Nothing of it waits in real time but for the server.
func newMachine(t *testing.T, client kubernetes.Interface) *machine {
	t.Helper()
	m := &machine{t: t, clock: clocktesting.NewFakeClock(time.Now()), changed: make(chan struct{}, 1), root: t.TempDir()}
	m.Keeper, _ = run(t, projectedvolume.Config{Root: m.root, Client: client, Clock: m.clock, Changed: func() {
		select {
		case m.changed <- struct{}{}:
		default:
		}
	}})
	return m
}

// until moves the clock on, as long as it takes until a condition holds.
func (m *machine) until(what string, condition func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); m.clock.Step(10 * time.Second) {
		if time.Now().After(deadline) {
			m.t.Fatalf("never: %s; the volumes are %+v", what, m.Status())
		}
		select {
		case <-m.changed:
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// file is the content of a file of the volume, "" if there is none.
func (m *machine) file(name string) string {
	content, err := os.ReadFile(filepath.Join(m.root, "pods", "ns_web", "volumes", "v", name))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	return string(content)
}

// webPod is the pod on the node.
func webPod() *corev1.Pod {
	web := pod("web", tokenSource("vault-token", "vault", 600), secretSource("settings", false), configMapSource("config", false),
		fieldSource("namespace", "metadata.namespace", "labels", "metadata.labels"))
	web.UID, web.Labels = "", map[string]string{"app": "web"}
	web.Spec.NodeName, web.Spec.Containers[0].Image = "vm1", "none"
	return web
}

// must returns what a call returned without an error.
func must[V any](value V, err error) func(*testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// prepare makes the objects of the test, and returns the pod.
func prepare(t *testing.T, admin kubernetes.Interface) *corev1.Pod {
	t.Helper()
	ctx, create := t.Context(), metav1.CreateOptions{}
	must(admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns"}}, create))(t)
	must(admin.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "vm1"}}, create))(t)
	must(admin.CoreV1().ServiceAccounts("ns").Create(ctx, account(), create))(t)
	must(admin.CoreV1().Secrets("ns").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string][]byte{"mode": []byte("test")}}, create))(t)
	must(admin.CoreV1().ConfigMaps("ns").Create(ctx, configMap("config", map[string]string{"level": "debug"}), create))(t)
	return must(admin.CoreV1().Pods("ns").Create(ctx, webPod(), create))(t)
}

func account() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}
}

// review is the verdict on a token for Vault.
func review(t *testing.T, client kubernetes.Interface, token string) authenticationv1.TokenReviewStatus {
	t.Helper()
	answer := must(client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{"vault"}},
	}, metav1.CreateOptions{}))(t)
	return answer.Status
}

// TestServer keeps the volume of a pod over the wire, with the rights of its node and no others.
func TestServer(t *testing.T) {
	folder := t.TempDir()
	tokens := filepath.Join(folder, "tokens.csv")
	if err := os.WriteFile(tokens, []byte("the-nodes-token,system:node:vm1,,system:nodes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--data-dir=" + filepath.Join(folder, "data"), "--token-auth-file=" + tokens}
	server := testserver.Start(t, flags...)
	web := prepare(t, server.Admin())
	vm := newMachine(t, server.As("the-nodes-token"))
	vm.Set(web)
	if err := vm.Retain([]types.NamespacedName{key(web)}); err != nil {
		t.Fatal(err)
	}
	vm.isWritten(server.Admin())
	vm.isRenewed(server.Admin())
	vm.followsObjects(server.Admin())

	before := vm.file("vault-token")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	vm.until("the end of the token while the server is away", func() bool { return vm.Status()[0].Expired(vm.clock.Now()) && vm.Status()[0].Err != nil })
	if vm.file("vault-token") != before || vm.file("mode") != "live" {
		t.Error("the files did not stay while the server was away")
	}
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	admin := testserver.Start(t, append(flags, "--secure-port="+address.Port())...).Admin()
	vm.until("a renewal by the server that is back", func() bool { return vm.file("vault-token") != before && vm.Status()[0].Err == nil })

	vm.outlivesTheAccount(admin)
	last := vm.file("vault-token")
	if err := admin.CoreV1().Pods("ns").Delete(t.Context(), "web", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	vm.Remove("ns", "web", web.UID)
	vm.until("no directory of a pod that is gone", func() bool { return len(directories(t, vm.root)) == 0 })
	if review(t, admin, last).Authenticated {
		t.Error("the token of a pod that is gone is accepted")
	}
}

// isWritten waits for the first files, and looks at them.
func (m *machine) isWritten(admin kubernetes.Interface) {
	m.t.Helper()
	m.until("files of the new pod", func() bool { return m.file("vault-token") != "" })
	for name, want := range map[string]string{"namespace": "ns", "labels": `app="web"`, "mode": "test", "level": "debug"} {
		if got := m.file(name); got != want {
			m.t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
	verdict := review(m.t, admin, m.file("vault-token"))
	if !verdict.Authenticated || verdict.User.Username != "system:serviceaccount:ns:app" || !slices.Equal(verdict.User.Extra["authentication.kubernetes.io/pod-name"], []string{"web"}) {
		m.t.Errorf("the token is reviewed as %+v", verdict)
	}
}

// isRenewed waits for another token, which comes before the first one ends.
func (m *machine) isRenewed(admin kubernetes.Interface) {
	m.t.Helper()
	first, written := m.file("vault-token"), m.clock.Now()
	m.until("a renewal", func() bool { return m.file("vault-token") != first })
	if passed := m.clock.Since(written); passed < 400*time.Second || passed > 10*time.Minute {
		m.t.Errorf("renewed after %v", passed)
	}
	if !review(m.t, admin, m.file("vault-token")).Authenticated {
		m.t.Error("the renewed token is refused")
	}
}

// followsObjects changes the secret and the config map, and waits for the files without the clock.
func (m *machine) followsObjects(admin kubernetes.Interface) {
	m.t.Helper()
	must(admin.CoreV1().ConfigMaps("ns").Update(m.t.Context(), configMap("config", map[string]string{"level": "info"}), metav1.UpdateOptions{}))(m.t)
	changed := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string][]byte{"mode": []byte("live")}}
	must(admin.CoreV1().Secrets("ns").Update(m.t.Context(), changed, metav1.UpdateOptions{}))(m.t)
	for deadline := time.Now().Add(time.Minute); m.file("mode") != "live" || m.file("level") != "info"; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatal("changes of the secret and the config map do not come through the watches")
		}
	}
}

// outlivesTheAccount deletes the account and makes it anew.
func (m *machine) outlivesTheAccount(admin kubernetes.Interface) {
	m.t.Helper()
	before := m.file("vault-token")
	if err := admin.CoreV1().ServiceAccounts("ns").Delete(m.t.Context(), "app", metav1.DeleteOptions{}); err != nil {
		m.t.Fatal(err)
	}
	m.until("no token without the account", func() bool { return m.Status()[0].Err != nil })
	if err := m.Status()[0].Err; !strings.Contains(err.Error(), `serviceaccounts "app" not found: create the account`) || m.file("vault-token") != before {
		m.t.Errorf("without the account: %v", err)
	}
	must(admin.CoreV1().ServiceAccounts("ns").Create(m.t.Context(), account(), metav1.CreateOptions{}))(m.t)
	m.until("a token of the new account", func() bool { return m.Status()[0].Err == nil })
	if review(m.t, admin, before).Authenticated || !review(m.t, admin, m.file("vault-token")).Authenticated {
		m.t.Error("the token of the account that is gone is accepted, or that of the new one is not")
	}
}
