package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/util/webhook"
	tokenwebhook "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"

	"github.com/mintmark/mintmark/internal/testserver"
)

func TestKubeconfigOfUser(t *testing.T) {
	kubeconfigBench(t)
	got := mintmark(t, "", "kubeconfig", "create", "ada", "--group", "dev", "--group", "ops", "--duration", "1h", "--kubeconfig", "admin.kubeconfig")
	got.want(t, 0, `Wrote ada.kubeconfig: user "ada", groups dev, ops, until `, "")
	config := loadKubeconfig(t, "ada.kubeconfig")
	if user := whoami(t, config); user.Username != "ada" || !slices.Equal(user.Groups, []string{"dev", "ops", "system:authenticated"}) {
		t.Errorf("it is %s, %q", user.Username, user.Groups)
	}
	got.keeps(t, string(config.KeyData))
	if _, err := os.Lstat("ada.kubeconfig.pending"); err == nil {
		t.Error("the key is still there")
	}
}

// Who may not approve is told who types what, and the same command goes on afterwards.
func TestKubeconfigApprovedByAnother(t *testing.T) {
	server := kubeconfigBench(t)
	allow(t, server, "carol", "create", "certificates.k8s.io", "certificatesigningrequests")
	allow(t, server, "carol", "get", "certificates.k8s.io", "certificatesigningrequests")
	create := func(args ...string) result {
		return mintmark(t, "", append([]string{"kubeconfig", "create", "ada", "--as", "carol", "--kubeconfig", "admin.kubeconfig"}, args...)...)
	}
	first := create()
	first.want(t, 1, "", "Somebody who may has to type:\n  kubectl certificate approve mintmark-")
	if _, err := os.Lstat("ada.kubeconfig"); err == nil {
		t.Error("a kubeconfig without a certificate was written")
	}
	pending, err := os.Lstat("ada.kubeconfig.pending")
	if err != nil || pending.Mode() != 0o600 {
		t.Fatalf("the key is not kept for its owner alone: %v %v", pending, err)
	}
	if again := create(); again != first {
		t.Errorf("the second time it says\n%s", again.err)
	}
	create("--group", "dev").want(t, 1, "", `ada.kubeconfig.pending is a request for the user "ada" with the groups []: name these, or delete it`)
	create("--duration", "2h").want(t, 1, "", "is for 24h0m0s: leave --duration out, or delete ada.kubeconfig.pending to begin anew")

	list, err := server.Admin().CertificatesV1().CertificateSigningRequests().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d requests, error %v", len(list.Items), err)
	}
	approve(t, server, &list.Items[0])
	create().want(t, 0, `Wrote ada.kubeconfig: user "ada", until `, "")
	if user := whoami(t, loadKubeconfig(t, "ada.kubeconfig")); user.Username != "ada" {
		t.Errorf("it is %s", user.Username)
	}
}

// approve approves a request as the error message says, or without kubectl as kubectl does it.
func approve(t *testing.T, server *testserver.Server, request *certificatesv1.CertificateSigningRequest) {
	t.Helper()
	if _, err := exec.LookPath("kubectl"); err == nil {
		out, err := exec.CommandContext(t.Context(), "kubectl", "--kubeconfig", server.Kubeconfig, "certificate", "approve", request.Name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	decide(t, server, request, certificatesv1.CertificateApproved)
}

func decide(t *testing.T, server *testserver.Server, request *certificatesv1.CertificateSigningRequest, verdict certificatesv1.RequestConditionType) {
	t.Helper()
	request.Status.Conditions = append(request.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: verdict, Status: corev1.ConditionTrue, Reason: "Because", Message: "of a test",
	})
	if _, err := server.Admin().CertificatesV1().CertificateSigningRequests().UpdateApproval(t.Context(), request.Name, request, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestKubeconfigDenied(t *testing.T) {
	server := kubeconfigBench(t)
	allow(t, server, "carol", "create", "certificates.k8s.io", "certificatesigningrequests")
	allow(t, server, "carol", "get", "certificates.k8s.io", "certificatesigningrequests")
	create := []string{"kubeconfig", "create", "ada", "--as", "carol", "--kubeconfig", "admin.kubeconfig"}
	mintmark(t, "", create...).want(t, 1, "", "kubectl certificate approve")
	list, err := server.Admin().CertificatesV1().CertificateSigningRequests().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d requests, error %v", len(list.Items), err)
	}
	decide(t, server, &list.Items[0], certificatesv1.CertificateDenied)
	mintmark(t, "", create...).want(t, 1, "", "was denied (Because): of a test")
	if files, err := filepath.Glob("ada*"); err != nil || len(files) > 0 {
		t.Errorf("files are left: %v %v", files, err)
	}
}

// A file of the key that somebody else made or can read is not used.
func TestKubeconfigPending(t *testing.T) {
	bench(t)
	const pending = "ada.kubeconfig.pending"
	create := func() result { return mintmark(t, "", "kubeconfig", "create", "ada", "--kubeconfig", "kubeconfig") }
	writeFile(t, "elsewhere", "as it was")
	if err := os.Symlink("elsewhere", pending); err != nil {
		t.Fatal(err)
	}
	create().want(t, 1, "", pending+" is a link or no plain file: it would hold the private key")
	if err := os.Remove(pending); err != nil {
		t.Fatal(err)
	}
	writeFile(t, pending, "garbage")
	create().want(t, 1, "", pending+" does not hold a key and a request (")
	if err := os.Chmod(pending, 0o644); err != nil {
		t.Fatal(err)
	}
	create().want(t, 1, "", "other users have access to "+pending)
}

// A kube-apiserver's token webhook works with a kubeconfig made for it, as docs/webhook.md says.
func TestKubeconfigOfWebhook(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "webhook.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(string(guide), "```sh\nmintmark ")
	command, _, found := strings.Cut(command, "```")
	if !found {
		t.Fatal("docs/webhook.md has no command")
	}
	server := kubeconfigBench(t)
	command = strings.NewReplacer("https://tokens.example.com:7443", server.URL, "\\\n", "").Replace(command)
	mintmark(t, "", append(strings.Fields(command), "--kubeconfig", "admin.kubeconfig")...).
		want(t, 0, `Wrote webhook.kubeconfig: user "kube-apiserver", until `, "")
	_, err = server.Admin().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster-webhook"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "kube-apiserver"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := webhook.LoadKubeconfig("webhook.kubeconfig", nil)
	if err != nil {
		t.Fatal(err)
	}
	reviewer, err := tokenwebhook.New(config, "v1", nil, *tokenwebhook.DefaultRetryBackoff())
	if err != nil {
		t.Fatal(err)
	}
	request, err := server.Admin().CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "app", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	answer, ok, err := reviewer.AuthenticateToken(t.Context(), request.Status.Token)
	if err != nil || !ok || answer.User.GetName() != appUser {
		t.Errorf("the webhook answers %v, %v, error %v", answer, ok, err)
	}
}
