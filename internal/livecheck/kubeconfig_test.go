package livecheck_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/livecheck"
)

// TestKubeconfig: a kubeconfig in a secret holds what it needs, or is refused with what to do. No file is read and no command run.
func TestKubeconfig(t *testing.T) {
	dir := t.TempDir()
	touched, file := filepath.Join(dir, "touched"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("secret-content-of-a-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", file)
	good := kubeconfig("https://cluster.example:6443", "credential", nil)
	good = strings.Replace(good, ", certificate-authority-data: ", "", 1)
	with := func(old, text string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatal(old)
		}
		return strings.Replace(good, old, text, 1)
	}
	user := func(fields string) string { return with("token: credential", fields) }
	cluster := func(fields string) string { return with("server: ", fields+", server: ") }
	for name, test := range map[string]struct{ text, want string }{
		"good":                      {good, ""},
		"without current-context":   {with("current-context: c, ", ""), ""},
		"in JSON, with preferences": {with("kind: Config", "kind: Config, preferences: {}"), ""},
		"with a path":               {with("cluster.example:6443", "rancher.example/k8s/clusters/c-1/"), ""},
		"with a server name":        {cluster("tls-server-name: a"), ""},

		"exec": {
			user("exec: {apiVersion: client.authentication.k8s.io/v1, command: touch, args: [" + touched + "], interactiveMode: Never}"),
			"it has exec, and no command is run for a stored object: put a token",
		},
		"exec beside a token":   {user("token: credential, exec: {apiVersion: v1, command: touch, args: [" + touched + "]}"), "it has exec"},
		"auth-provider":         {user("auth-provider: {name: oidc}"), "it has auth-provider, which is not supported"},
		"tokenFile":             {user("tokenFile: " + file), "it has tokenFile, and no file is read for a stored object: put the content into token"},
		"client-certificate":    {user("client-certificate: " + file + ", client-key-data: YQ=="), "put the content into client-certificate-data"},
		"client-key":            {user("client-certificate-data: YQ==, client-key: " + file), "put the content into client-key-data"},
		"certificate-authority": {cluster("certificate-authority: " + file), "put the content into certificate-authority-data"},
		"proxy-url":             {cluster("proxy-url: 'http://proxy.example'"), "it has proxy-url, and calls for a stored object use no proxy"},
		"insecure":              {cluster("insecure-skip-tls-verify: true"), "put its authority into certificate-authority-data"},
		"a password":            {user("username: u, password: p"), "it has username or password"},
		"impersonation":         {user("token: credential, as: admin"), "it has as, as-uid"},
		"impersonated groups":   {user("token: credential, as-groups: ['system:masters']"), "it has as, as-uid"},
		"an impersonated uid":   {user("token: credential, as-uid: '1'"), "it has as, as-uid"},
		"impersonated extra":    {user("token: credential, as-user-extra: {scopes: [a]}"), "it has as, as-uid"},
		"exec in capitals":      {user("token: credential, EXEC: {apiVersion: v1, command: touch, args: [" + touched + "]}"), "it has exec"},
		"a file in capitals":    {user("token: credential, TokenFile: " + file), "it has tokenFile"},
		"a proxy in capitals":   {cluster("Proxy-URL: 'http://proxy.example'"), "it has proxy-url"},
		"no credential":         {user(""), "it has no credential"},
		"a key alone":           {user("client-key-data: YQ=="), "it has no credential"},
		"no pair":               {user("client-certificate-data: YQ==, client-key-data: YQ=="), "are no pair of a certificate and its key in PEM"},
		"a token with a blank":  {user("token: 'two words'"), "its token has a blank"},
		"a token with lines":    {user(`token: "a\nX-Remote-User: admin"`), "its token has a blank"},
		"plain HTTP":            {with("https:", "http:"), "its server is no https URL of a host"},
		"no scheme":             {with("https://", ""), "its server is no https URL of a host"},
		"a user in the URL":     {with("https://", "https://u:p@"), "its server is no https URL of a host"},
		"a query":               {with(":6443", ":6443/?a=b"), "its server is no https URL of a host"},
		"no host":               {with("cluster.example:6443", "/path"), "its server is no https URL of a host"},
		"two contexts":          {with("contexts: [", "contexts: [{name: d, context: {cluster: c, user: u}}, "), "it has 2 contexts, 1 clusters and 1 users, and one of each is wanted: keep those that are meant (kubectl config view --minify --flatten"},
		"two users":             {with("users: [", "users: [{name: u, user: {tokenFile: /etc/passwd}}, "), "it has 1 contexts, 1 clusters and 2 users"},
		"two clusters":          {with("clusters: [", "clusters: [{name: c, cluster: {server: 'https://other.example'}}, "), "it has 1 contexts, 2 clusters and 1 users"},
		"another context":       {with("current-context: c", "current-context: d"), "its current-context is not the name of its context"},
		"another cluster":       {with("context: {cluster: c", "context: {cluster: d"), "its context names another cluster or another user"},
		"a field twice":         {user("token: credential, token: other"), "a field twice"},
		"an unknown field":      {user("token: credential, tokn: other"), "a field that kubeconfigs don't have"},
		"no YAML":               {"secret-content: [", "it is no kubeconfig"},
		"another kind":          {with("kind: Config", "kind: Secret"), "it is no kubeconfig"},
		"another version":       {with("apiVersion: v1", "apiVersion: v2"), "it is no kubeconfig"},
		"nothing":               {"", "it is no kubeconfig"},
		"a wrong type":          {with("token: credential", "token: {secret-content: 1}"), "it is no kubeconfig"},
		"too long":              {good + strings.Repeat(" ", 256<<10), "at most 262144 are read"},
		"aliases":               {"a: &a [" + strings.Repeat("x,", 100) + "]\nb: &b [" + strings.Repeat("*a,", 100) + "]\nc: [" + strings.Repeat("*b,", 1000) + "]", "it is no kubeconfig"},
	} {
		err := livecheck.ReadKubeconfig([]byte(test.text))
		if (test.want == "") != (err == nil) || !strings.Contains(fmt.Sprint(err), test.want) || strings.Contains(fmt.Sprint(err), "secret-content") {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if _, err := os.Stat(touched); err == nil {
		t.Error("a command was run")
	}
}
