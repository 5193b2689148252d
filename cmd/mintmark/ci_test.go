package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// ciServer is a server that believes the jobs of a CI system as docs/ci.md says.
type ciServer struct {
	*ciIssuer
	url, ca, kubeconfig string
}

func startCI(t *testing.T, system string) *ciServer {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	c := &ciServer{url: "https://" + net.JoinHostPort("127.0.0.1", port), ca: filepath.Join(data, "ca.crt"), kubeconfig: filepath.Join(data, "admin.kubeconfig")}
	c.ciIssuer = newCIIssuer(t, system, c.url)
	configuration := filepath.Join(dir, "authentication.yaml")
	writeFile(t, configuration, c.configuration())
	program := exec.CommandContext(context.Background(), "mintmark", "serve", "--data-dir="+data, "--secure-port="+port, "--authentication-config="+configuration)
	var log lockedBuffer
	program.Stdout, program.Stderr = &log, &log
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Signal(os.Interrupt) // it may have ended by itself
		_ = program.Wait()
	})
	if !awaitReady(t.Context(), c.kubeconfig) {
		t.Fatalf("no server: %s", log.String())
	}
	c.apply(c.file("role.yaml"))
	c.awaitIssuer()
	return c
}

// apply creates the objects of the guide.
func (c *ciServer) apply(manifests string) {
	c.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		c.t.Fatal(err)
	}
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		c.t.Fatal(err)
	}
	client := clients.Discovery().RESTClient()
	for document := range strings.SplitSeq(manifests, "\n---\n") {
		var object struct{ Kind string }
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			c.t.Fatal(err)
		}
		path := map[string]string{
			"ServiceAccount": "/api/v1/namespaces/default/serviceaccounts",
			"Role":           "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
			"RoleBinding":    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
		}[object.Kind]
		if err := client.Post().AbsPath(path).SetHeader("Content-Type", "application/yaml").Body([]byte(document)).Do(c.t.Context()).Error(); err != nil {
			c.t.Fatal(object.Kind, err)
		}
	}
}

// awaitIssuer waits until the server has read the issuer's keys.
func (c *ciServer) awaitIssuer() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for c.trade(c.token(c.key, nil)).code != 0 {
		select {
		case <-ctx.Done():
			c.t.Fatal("the server does not know its issuer")
		case <-tick.C:
		}
	}
}

// trade asks for a token of an account with a job's own.
func (c *ciServer) trade(token string, args ...string) result {
	c.t.Helper()
	if len(args) == 0 {
		args = []string{"app"}
	}
	return mintmark(c.t, token+"\n", append([]string{
		"token", "create", "--audience", "vault", "--server", c.url, "--certificate-authority", c.ca, "--bearer-token-file", "-",
	}, args...)...)
}

// ciCase is a job: how its token differs from that of the guide, and what it is told; nothing if it gets a token.
type ciCase struct {
	changes map[string]any
	args    []string
	err     string
}

const (
	notAccepted = "does not accept your token (from standard input): Unauthorized. "
	notAllowed  = "accepts your token (from standard input), but you may not do this: "
)

// forbidden is what a job is told whose token is accepted as a user's that no role is bound to.
func forbidden(user, account string) string {
	return notAllowed + `serviceaccounts "` + account + `" is forbidden: User "` + user + `" cannot create resource "serviceaccounts/token" in API group "" in the namespace "default"`
}

func TestCIGitHub(t *testing.T) {
	t.Parallel()
	c := startCI(t, "github")
	const other = "https://vault.example.com"
	c.run(t, map[string]ciCase{
		"the job of the guide":  {},
		"run by hand":           {changes: map[string]any{"event_name": "workflow_dispatch"}},
		"with the newer sub":    {changes: map[string]any{"sub": "repo:octo-org@65/octo-repo@74:environment:production"}},
		"with a sub of its own": {changes: map[string]any{"sub": "job_workflow_ref:octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main"}},
		"another account":       {args: []string{"other"}, err: forbidden("github:octo-org/octo-repo:refs/heads/main:production", "other")},
		"another namespace":     {args: []string{"app", "-n", "kube-system"}, err: notAllowed},
		"another repository": {
			changes: map[string]any{"repository": "octo-org/other", "repository_id": "75"},
			err:     forbidden("github:octo-org/other:refs/heads/main:production", "app"),
		},
		"another ref":                       {changes: map[string]any{"ref": "refs/heads/feature"}, err: forbidden("github:octo-org/octo-repo:refs/heads/feature:production", "app")},
		"another environment":               {changes: map[string]any{"environment": "staging"}, err: forbidden("github:octo-org/octo-repo:refs/heads/main:staging", "app")},
		"no environment":                    {changes: map[string]any{"environment": nil}, err: forbidden("github:octo-org/octo-repo:refs/heads/main", "app")},
		"an environment that is not listed": {changes: map[string]any{"environment": "x:production"}, err: notAccepted},
		"a ref that ends like the user":     {changes: map[string]any{"environment": nil, "ref": "refs/heads/main:production"}, err: notAccepted},
		"another organization":              {changes: map[string]any{"repository": "evil/octo-repo", "repository_owner": "evil", "repository_owner_id": "66"}, err: notAccepted},
		"an organization of the old name":   {changes: map[string]any{"repository_owner_id": "66"}, err: notAccepted},
		"an organization of a longer name":  {changes: map[string]any{"repository": "octo-org2/octo-repo"}, err: notAccepted},
		"a pull request": {
			changes: map[string]any{"event_name": "pull_request", "ref": "refs/pull/7/merge", "base_ref": "main", "environment": nil, "sub": "repo:octo-org/octo-repo:pull_request"},
			err:     notAccepted,
		},
		"a pull request that runs as its target": {changes: map[string]any{"event_name": "pull_request_target", "base_ref": "main"}, err: notAccepted},
		"a run after a pull request's":           {changes: map[string]any{"event_name": "workflow_run"}, err: notAccepted},
		"a tag of the branch's name":             {changes: map[string]any{"ref": "refs/tags/main", "ref_type": "tag"}, err: notAccepted},
		"no repository":                          {changes: map[string]any{"repository": nil}, err: notAccepted},
		"no event":                               {changes: map[string]any{"event_name": nil}, err: notAccepted},
		"the audience that a job gets unasked":   {changes: map[string]any{"aud": "https://github.com/octo-org"}, err: notAccepted + `Its issuer is "https://token.actions.githubusercontent.com", its audience is "https://github.com/octo-org", it expires in `},
		"another server's audience":              {changes: map[string]any{"aud": other}, err: `its audience is "` + other + `"`},
		"a token that has ended":                 {changes: map[string]any{"exp": 1700000000}, err: "(2023-11-14T22:13:20Z)"},
	})
}

func TestCIGitLab(t *testing.T) {
	t.Parallel()
	c := startCI(t, "gitlab")
	c.run(t, map[string]ciCase{
		"the job of the guide":  {},
		"started by hand":       {changes: map[string]any{"pipeline_source": "web"}},
		"with a sub of its own": {changes: map[string]any{"sub": "project_id:20"}},
		"another account":       {args: []string{"other"}, err: forbidden("gitlab:my-group/my-project:main:production", "other")},
		"another project": {
			changes: map[string]any{"project_path": "my-group/other", "project_id": "21"},
			err:     forbidden("gitlab:my-group/other:main:production", "app"),
		},
		"another protected branch":  {changes: map[string]any{"ref": "release", "ref_path": "refs/heads/release"}, err: forbidden("gitlab:my-group/my-project:release:production", "app")},
		"no environment":            {changes: map[string]any{"environment": nil}, err: forbidden("gitlab:my-group/my-project:main", "app")},
		"a branch unprotected":      {changes: map[string]any{"ref": "feature", "ref_protected": "false"}, err: notAccepted},
		"a tag of the same name":    {changes: map[string]any{"ref_type": "tag", "ref_path": "refs/tags/main"}, err: notAccepted},
		"a merge request":           {changes: map[string]any{"pipeline_source": "merge_request_event", "ref_protected": "false"}, err: notAccepted},
		"one from a fork":           {changes: map[string]any{"pipeline_source": "merge_request_event", "project_path": "fork/my-project", "namespace_id": "99"}, err: notAccepted},
		"another group":             {changes: map[string]any{"project_path": "evil/my-project", "namespace_path": "evil", "namespace_id": "73"}, err: notAccepted},
		"a group of the old name":   {changes: map[string]any{"namespace_id": "73"}, err: notAccepted},
		"a ref with an environment": {changes: map[string]any{"environment": nil, "ref": "main:production"}, err: notAccepted},
		"another server's audience": {changes: map[string]any{"aud": "https://vault.example.com"}, err: notAccepted + `Its issuer is "https://gitlab.com", its audience is "https://vault.example.com", it expires in `},
		"a token that has ended":    {changes: map[string]any{"exp": 1700000000}, err: "(2023-11-14T22:13:20Z)"},
	})
}

// run tries each job, and what no job may do: to sign its token itself.
func (c *ciServer) run(t *testing.T, cases map[string]ciCase) {
	for name, job := range cases {
		t.Run(name, func(t *testing.T) {
			token := c.token(c.key, job.changes)
			got := c.trade(token, job.args...)
			got.keeps(t, token)
			if job.err != "" {
				got.want(t, 1, "", job.err)
				return
			}
			got.want(t, 0, "ey", "")
			mintmark(t, got.out, "token", "review", "-", "--audience", "vault", "--kubeconfig", c.kubeconfig).want(t, 0, "system:serviceaccount:default:app", "")
		})
	}
	t.Run("an administrator asks why", func(t *testing.T) {
		token := c.token(c.key, map[string]any{"ref_type": "tag"})
		got := mintmark(t, token, "token", "explain", "-", "--kubeconfig", c.kubeconfig)
		got.want(t, 1, "failed: the ref is not a ", "")
		got.keeps(t, token)
	})
	t.Run("a token that somebody else signed", func(t *testing.T) {
		c.trade(c.token(newCIKey(t), nil)).want(t, 1, "", notAccepted)
	})
}

// TestCIJobs runs the steps of the guide's jobs, as the two systems do.
func TestCIJobs(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", program)
		}
	}
	t.Run("GitHub Actions", func(t *testing.T) {
		c := startCI(t, "github")
		var workflow struct {
			Jobs map[string]struct {
				Steps []struct {
					Env map[string]string
					Run string
				}
			}
		}
		decodeYAML(t, c.file("workflow.yaml"), &workflow)
		step := workflow.Jobs["deploy"].Steps[1]
		dir := c.job(t, "bash", []string{"--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run},
			"MINTMARK="+step.Env["MINTMARK"], "ACTIONS_ID_TOKEN_REQUEST_TOKEN=s3cret", "ACTIONS_ID_TOKEN_REQUEST_URL="+c.actions("s3cret"))
		c.reviewFile(t, filepath.Join(dir, "vault-token"))
	})
	t.Run("GitLab CI", func(t *testing.T) {
		c := startCI(t, "gitlab")
		var pipeline map[string]struct {
			Variables map[string]string
			Script    []string
		}
		decodeYAML(t, c.file("ci.yaml"), &pipeline)
		job := pipeline["deploy"]
		dir := c.job(t, "sh", []string{"-ec", strings.Join(job.Script, "\n")},
			"MINTMARK="+job.Variables["MINTMARK"], "MINTMARK_ID_TOKEN="+c.token(c.key, nil))
		c.reviewFile(t, filepath.Join(dir, "vault-token"))
	})
}

func decodeYAML(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// job runs a job's shell in a directory with the server's ca.crt, and returns the directory.
func (c *ciServer) job(t *testing.T, shell string, args []string, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	ca, err := os.ReadFile(c.ca)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "ca.crt"), string(ca))
	program := exec.CommandContext(t.Context(), shell, args...)
	program.Dir = dir
	program.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "RUNNER_TEMP=" + dir}, env...)
	var out, errs bytes.Buffer
	program.Stdout, program.Stderr = &out, &errs
	if err := program.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return dir
}

func (c *ciServer) reviewFile(t *testing.T, file string) {
	t.Helper()
	token, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mintmark(t, string(token), "token", "review", "-", "--audience", "vault", "--kubeconfig", c.kubeconfig).want(t, 0, "system:serviceaccount:default:app", "")
}

// TestCIGuide holds the files that these tests use to docs/ci.md.
func TestCIGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join("testdata", "ci"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join("testdata", "ci", file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		language := strings.TrimPrefix(filepath.Ext(file.Name()), ".")
		if !strings.Contains(string(guide), "```"+language+"\n"+string(text)+"```\n") {
			t.Errorf("docs/ci.md does not have %s as it is", file.Name())
		}
	}
}
