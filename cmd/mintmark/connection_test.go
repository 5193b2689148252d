package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Which kubeconfig is used shows in the namespace that is asked.
func TestFindsServer(t *testing.T) {
	for name, test := range map[string]struct {
		env       string
		args      []string
		namespace string
		err       string
	}{
		"the flag":                        {env: "env", args: []string{"--kubeconfig", "flag"}, namespace: "from-flag"},
		"the environment":                 {env: "env", namespace: "from-env"},
		"the environment, several files":  {env: "nothing:env:flag", namespace: "from-env"},
		"the data directory":              {namespace: "from-data"},
		"another data directory":          {args: []string{"--data-dir", "other"}, namespace: "from-other"},
		"a data directory asked for":      {env: "env", args: []string{"--data-dir", "other"}, namespace: "from-other"},
		"the namespace has a flag":        {args: []string{"-n", "mine"}, namespace: "mine"},
		"no file under the flag":          {args: []string{"--kubeconfig", "nothing"}, err: "cannot read the file named with --kubeconfig: stat nothing"},
		"no file under the environment":   {env: "nothing", err: `$KUBECONFIG is set to "nothing", where there is none`},
		"no file under the data dir":      {args: []string{"--data-dir", "nothing"}, err: "no kubeconfig found (looked for nothing/admin.kubeconfig): start a server with 'mintmark serve', or name one with --kubeconfig"},
		"two files":                       {args: []string{"--kubeconfig", "flag", "--data-dir", "other"}, err: "leave one of them out"},
		"an empty file":                   {args: []string{"--kubeconfig", "empty"}, err: "the kubeconfig empty names no server"},
		"a file that isn't one":           {args: []string{"--kubeconfig", "garbage"}, err: "cannot read the kubeconfig"},
		"a directory":                     {args: []string{"--kubeconfig", "other"}, err: "cannot read the kubeconfig"},
		"a context that isn't there":      {args: []string{"--context", "c9"}, err: `context "c9" does not exist`},
		"a server that isn't one":         {args: []string{"--server", "https://[::"}, err: "cannot use the kubeconfig"},
		"credentials that aren't good":    {args: []string{"--context", "stranger"}, err: "does not accept the credentials in mintmark-data/admin.kubeconfig: Unauthorized"},
		"nobody listens":                  {args: []string{"-s", "https://127.0.0.1:1"}, err: "nothing listens at https://127.0.0.1:1 (from mintmark-data/admin.kubeconfig): start a server with 'mintmark serve'"},
		"a server that speaks without it": {args: []string{"-s", "http://127.0.0.1:1"}, err: "nothing listens at http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			api := bench(t)
			for _, file := range []string{"flag", "env", "mintmark-data/admin.kubeconfig", "other/admin.kubeconfig"} {
				writeFile(t, file, "")
				namespace := "from-" + strings.TrimPrefix(strings.TrimSuffix(file, "/admin.kubeconfig"), "mintmark-")
				api.kubeconfig(t, file, namespace)
				api.accounts = append(api.accounts, namespace+"/app")
			}
			api.accounts = append(api.accounts, "mine/app")
			writeFile(t, "empty", "")
			writeFile(t, "garbage", "\x00{]")
			t.Setenv(kubeconfigEnv, strings.ReplaceAll(test.env, ":", string(filepath.ListSeparator)))

			got := mintmark(t, "", append([]string{"token", "create", "app"}, test.args...)...)
			if test.err != "" {
				if got.code == 0 {
					t.Error("exit code 0")
				}
				got.want(t, got.code, "", test.err)
				return
			}
			got.want(t, 0, "ey", "")
			if want := "/api/v1/namespaces/" + test.namespace + "/serviceaccounts/app/token"; api.request.URL.Path != want {
				t.Errorf("asked %s, want %s", api.request.URL.Path, want)
			}
		})
	}
}

func TestImpersonation(t *testing.T) {
	api := bench(t)
	mintmark(t, "", "token", "create", "app", "--kubeconfig", "kubeconfig", "--as", "eve", "--as-group", "g1", "--as-group", "g2").want(t, 0, "ey", "")
	if user, groups := api.request.Header.Get("Impersonate-User"), api.request.Header["Impersonate-Group"]; user != "eve" || len(groups) != 2 {
		t.Errorf("impersonated %q, %q", user, groups)
	}
}

func TestWrongAuthority(t *testing.T) {
	bench(t)
	kubeconfig, err := os.ReadFile("kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	// Without the authority in it, the file trusts those of the machine.
	lines := strings.Split(string(kubeconfig), "\n")
	for i, line := range lines {
		if strings.Contains(line, "certificate-authority-data") {
			lines[i] = ""
		}
	}
	writeFile(t, "strange", strings.Join(lines, "\n"))
	mintmark(t, "", "token", "create", "app", "--kubeconfig", "strange").
		want(t, 1, "", "is not from the authority in strange (")
}

func TestNotAKubernetesAPI(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"not found": http.NotFound,
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html>welcome</html>"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bench(t)
			other := httptest.NewServer(handler)
			defer other.Close()
			mintmark(t, "", "token", "create", "app", "--kubeconfig", "kubeconfig", "--server", other.URL).
				want(t, 1, "", "(from kubeconfig) does not answer as a Kubernetes API does: ")
		})
	}
}

func TestExplainWaiting(t *testing.T) {
	c := &connection{config: &rest.Config{Host: "https://h"}, source: "f"}
	late, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if got := c.explain(late, errors.New("x")).Error(); got != "the server https://h (from f) did not answer within 30s" {
		t.Error(got)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.explain(over, errors.New("x")).Error(); got != "interrupted" {
		t.Error(got)
	}
}
