package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
)

// The version of the answer is the one that the client asks for.
func TestExecCredential(t *testing.T) {
	for name, test := range map[string]struct{ info, version, err string }{
		"nobody asks":     {version: "client.authentication.k8s.io/v1"},
		"v1":              {info: `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}`, version: "client.authentication.k8s.io/v1"},
		"v1beta1":         {info: `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{}}`, version: "client.authentication.k8s.io/v1beta1"},
		"v1alpha1":        {info: `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1","spec":{}}`, err: `the client asks for "client.authentication.k8s.io/v1alpha1": use apiVersion client.authentication.k8s.io/v1`},
		"another kind":    {info: `{"kind":"Pod","apiVersion":"v1"}`, err: "$KUBERNETES_EXEC_INFO is not an ExecCredential"},
		"something else":  {info: `yes`, err: "$KUBERNETES_EXEC_INFO is not an ExecCredential"},
		"an unknown part": {info: `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"new":{"a":1}}}`, version: "client.authentication.k8s.io/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			api := bench(t)
			t.Setenv(execInfoEnv, test.info)
			got := mintmark(t, "", "token", "create", "app", "--kubeconfig", "kubeconfig", "--exec-credential")
			if test.err != "" {
				got.want(t, 1, "", test.err)
				return
			}
			got.want(t, 0, "ExecCredential", "")
			var credential clientauthenticationv1.ExecCredential
			if err := json.Unmarshal([]byte(got.out), &credential); err != nil {
				t.Fatal(err)
			}
			if _, ok := api.issued[credential.Status.Token]; !ok || credential.APIVersion != test.version || credential.Kind != "ExecCredential" {
				t.Errorf("printed\n%s", got.out)
			}
			if !credential.Status.ExpirationTimestamp.Equal(&metav1.Time{Time: fakeExpiration}) {
				t.Errorf("it ends at %v", credential.Status.ExpirationTimestamp)
			}
		})
	}
}

func TestExecCredentialFlags(t *testing.T) {
	bench(t)
	mintmark(t, "", "token", "create", "app", "--exec-credential", "-o", "json").want(t, 2, "", "--exec-credential is a format of its own: leave out --output")
	mintmark(t, "", "token", "create", "--opaque", "--user", "ada", "--exec-credential").want(t, 2, "", "--exec-credential is about tokens of service accounts: leave it out")
}

// With a token to call with, the client's own cluster is enough.
func TestExecCredentialCluster(t *testing.T) {
	api := ciBench(t)
	ca, err := os.ReadFile("ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	info := func(server string) string {
		return fmt.Sprintf(`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"cluster":{"server":%q,"certificate-authority-data":%q},"interactive":false}}`,
			server, base64.StdEncoding.EncodeToString(ca))
	}
	t.Setenv(execInfoEnv, info(api.URL))
	command := []string{"token", "create", "app", "--exec-credential", "--bearer-token-file", "admin.token"}
	mintmark(t, "", command...).want(t, 0, "ExecCredential", "")
	t.Setenv(execInfoEnv, info("https://127.0.0.1:1"))
	mintmark(t, "", command...).want(t, 1, "", "nothing listens at https://127.0.0.1:1 (from $KUBERNETES_EXEC_INFO)")
	mintmark(t, "", append(command, "--server", api.URL, "--certificate-authority", "ca.crt")...).want(t, 0, "ExecCredential", "")
}

// A kubeconfig whose plugin reads the kubeconfig again ends, and is told as such.
func TestExecCredentialCircle(t *testing.T) {
	bench(t)
	writeFile(t, "circle", `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: mintmark, interactiveMode: Never,
  args: [token, create, app, --kubeconfig, circle, --exec-credential]}}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`)
	program := exec.CommandContext(t.Context(), "mintmark", "token", "create", "app", "--kubeconfig", "circle", "--exec-credential")
	out, err := program.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the kubeconfig circle gets its credentials from a command that reads it again") {
		t.Errorf("%v: %s", err, out)
	}
}
