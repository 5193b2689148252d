package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mintmark/mintmark/internal/testserver"
)

// kubeconfigBench is a real server with the account default/app, and an empty working directory in which admin.kubeconfig is
// its administrator's.
func kubeconfigBench(t *testing.T, flags ...string) *testserver.Server {
	t.Helper()
	server := testserver.Start(t, flags...)
	t.Chdir(t.TempDir())
	t.Setenv(kubeconfigEnv, "")
	admin, err := os.ReadFile(server.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "admin.kubeconfig", string(admin))
	_, err = server.Admin().CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// loadKubeconfig loads a kubeconfig that only its owner may read.
func loadKubeconfig(t *testing.T, file string) *rest.Config {
	t.Helper()
	info, err := os.Lstat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("the mode of %s is %v", file, info.Mode())
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// whoami is whom the server takes the holder of a kubeconfig for.
func whoami(t *testing.T, config *rest.Config) authenticationv1.UserInfo {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo
}

const appUser = "system:serviceaccount:default:app"

func TestKubeconfigOfAccount(t *testing.T) {
	kubeconfigBench(t)
	got := mintmark(t, "", "kubeconfig", "create", "--service-account", "default/app", "--kubeconfig", "admin.kubeconfig", "--duration", "30m")
	got.want(t, 0, "Wrote app.kubeconfig: "+appUser+", until ", "")
	config := loadKubeconfig(t, "app.kubeconfig")
	if user := whoami(t, config); user.Username != appUser {
		t.Errorf("it is %s", user.Username)
	}
	if config.BearerToken == "" || config.CertData != nil || config.ExecProvider != nil {
		t.Error("it has other credentials than a token")
	}
	got.keeps(t, config.BearerToken)
}

// With --exec client-go and kubectl fetch tokens themselves.
func TestKubeconfigOfAccountExec(t *testing.T) {
	server := kubeconfigBench(t)
	got := mintmark(t, "", "kubeconfig", "create", "--service-account", "default/app", "--exec", "--duration", "20m", "--kubeconfig", "admin.kubeconfig")
	got.want(t, 0, "Wrote app.kubeconfig: "+appUser+", with tokens that clients fetch by running 'mintmark token create'.", "")
	app, err := filepath.Abs("app.kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir()) // from anywhere
	config := loadKubeconfig(t, app)
	if user := whoami(t, config); user.Username != appUser {
		t.Errorf("it is %s", user.Username)
	}
	if config.BearerToken != "" || config.CertData != nil || config.ExecProvider == nil {
		t.Error("it has credentials in it")
	}

	// A token that the server refuses is fetched anew.
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	who := func() error {
		_, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return err
	}
	if err := who(); err != nil {
		t.Fatal(err)
	}
	accounts := server.Admin().CoreV1().ServiceAccounts("default")
	if err := accounts.Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := who(); err == nil {
		t.Error("the token outlives its account")
	}
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_ = who() // still with the old token, which client-go then has replaced
	if err := who(); err != nil {
		t.Errorf("no new token: %v", err)
	}

	t.Run("kubectl", func(t *testing.T) {
		if _, err := exec.LookPath("kubectl"); err != nil {
			t.Skip("needs kubectl")
		}
		out, err := exec.CommandContext(t.Context(), "kubectl", "--kubeconfig", app, "auth", "whoami").CombinedOutput()
		if err != nil || !strings.Contains(string(out), appUser) {
			t.Errorf("%v: %s", err, out)
		}
	})

	// Another mintmark gets its credentials from that kubeconfig.
	t.Run("in turn", func(t *testing.T) {
		t.Chdir(t.TempDir())
		mintmark(t, "", "token", "create", "app", "--exec-credential", "--kubeconfig", app).
			want(t, 1, "", `User "`+appUser+`" cannot create resource "serviceaccounts/token"`)
	})
}

// The connection of a token is written as it was given, with whole paths.
func TestKubeconfigOfAccountExecBearer(t *testing.T) {
	server := kubeconfigBench(t)
	request, err := server.Admin().CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "app", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "job-token", request.Status.Token)
	writeFile(t, "ca.crt", string(server.RootCAs))
	connection := []string{"--server", server.URL, "--certificate-authority", "ca.crt", "--bearer-token-file", "job-token"}
	create := append([]string{"kubeconfig", "create", "--service-account", "default/app", "--exec"}, connection...)
	got := mintmark(t, "", create...)
	got.want(t, 1, "", "accepts your token (from job-token), but you may not do this: ")
	got.keeps(t, request.Status.Token)
	if _, err := os.Lstat("app.kubeconfig"); err == nil {
		t.Error("a kubeconfig was written that can't work")
	}
	allow(t, server, appUser, "create", "", "serviceaccounts/token")
	mintmark(t, "", create...).want(t, 0, "Wrote app.kubeconfig", "")
	text, err := os.ReadFile("app.kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte(request.Status.Token)) {
		t.Error("the token to call with is in the kubeconfig")
	}
	app, _ := filepath.Abs("app.kubeconfig")
	t.Chdir(t.TempDir())
	if user := whoami(t, loadKubeconfig(t, app)); user.Username != appUser {
		t.Errorf("it is %s", user.Username)
	}
}

// A file is replaced only if it is the caller's own and that is asked for, and nothing is sent if it can't be written.
func TestKubeconfigFile(t *testing.T) {
	bench(t)
	create := func(args ...string) result {
		return mintmark(t, "", append([]string{"kubeconfig", "create", "--service-account", "default/app", "--kubeconfig", "kubeconfig", "--duration", "1h"}, args...)...)
	}
	create().want(t, 0, "Wrote app.kubeconfig: ", "")
	create().want(t, 1, "", "app.kubeconfig exists already: name another file with -o, or replace it with --overwrite")
	before, err := os.ReadFile("app.kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	create("--overwrite").want(t, 0, "Wrote app.kubeconfig: ", "")
	if after, err := os.ReadFile("app.kubeconfig"); err != nil || bytes.Equal(before, after) {
		t.Errorf("it was not replaced: %v", err)
	}
	writeFile(t, "victim", "as it was")
	if err := os.Symlink("victim", "link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("directory", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"link", "directory"} {
		create("-o", file, "--overwrite").want(t, 1, "", file+" is a link or no plain file: it is left as it is, name another with -o")
	}
	if text, err := os.ReadFile("victim"); err != nil || string(text) != "as it was" {
		t.Error("a link was followed")
	}
	create("-o", "nowhere/app").want(t, 1, "", "cannot write into the directory nowhere: ")
	create("-o", "directory/").want(t, 2, "", "-o names the file to write, and not a directory")
	create("-o", "yaml").want(t, 2, "", "if it is to be called yaml, write ./yaml")
	create("-o", "directory/app").want(t, 0, "Wrote directory/app: ", "")
	if files, err := os.ReadDir("."); err != nil || len(files) != 5 { // kubeconfig, app.kubeconfig, victim, link, directory
		t.Errorf("files are left: %v %v", files, err)
	}
	t.Run("another user's", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root")
		}
		writeFile(t, "other", "as it was")
		if err := os.Chown("other", 12345, 12345); err != nil {
			t.Fatal(err)
		}
		create("-o", "other", "--overwrite").want(t, 1, "", "other belongs to another user (uid 12345): it is left as it is")
	})
}

func TestKubeconfigRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		err  string
	}{
		"nobody":                  {nil, "name one user, or a service account with --service-account NAMESPACE/NAME"},
		"an empty name":           {[]string{""}, "name one user"},
		"two":                     {[]string{"a", "b"}, "name one user"},
		"a user and an account":   {[]string{"ada", "--service-account", "default/app"}, "name one user"},
		"half an account":         {[]string{"--service-account", "app"}, "--service-account must be NAMESPACE/NAME"},
		"too much of an account":  {[]string{"--service-account", "a/b/c"}, "--service-account must be NAMESPACE/NAME"},
		"an account's groups":     {[]string{"--service-account", "a/b", "--group", "g"}, "--group is for users"},
		"a user's command":        {[]string{"ada", "--exec"}, "--exec is for service accounts"},
		"a token that is gone":    {[]string{"--service-account", "a/b", "--exec", "--bearer-token-file", "-"}, "name a file with --bearer-token-file"},
		"administrators":          {[]string{"ada", "--group", "dev", "--group", "system:masters"}, "no certificate is signed for the group system:masters"},
		"an empty group":          {[]string{"ada", "--group", ""}, "--group must not be empty"},
		"a moment":                {[]string{"ada", "--duration", "5m"}, "--duration must be in whole seconds, and at least 10m0s"},
		"a century":               {[]string{"ada", "--duration", "876000h"}, "--duration must be at most 68 years"},
		"another server's scheme": {[]string{"ada", "--for-server", "tokens.example.com"}, "--for-server must be a URL such as https://"},
		"plain HTTP":              {[]string{"ada", "--for-server", "http://tokens.example.com"}, "--for-server must be a URL such as https://"},
		"a name with a slash":     {[]string{"../ada"}, "name the file to write with -o"},
		"a name with a colon":     {[]string{"system:ada"}, "name the file to write with -o"},
	} {
		t.Run(name, func(t *testing.T) {
			api := bench(t)
			mintmark(t, "", append([]string{"kubeconfig", "create", "--kubeconfig", "kubeconfig"}, test.args...)...).want(t, 2, "", test.err)
			if api.request != nil {
				t.Error("something was sent")
			}
		})
	}
}

// allow grants a user one verb on one resource.
func allow(t *testing.T, server *testserver.Server, user, verb, group, resource string, names ...string) {
	t.Helper()
	rbac := server.Admin().RbacV1()
	role, err := rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
