package apiserver_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	reviewerToken  = "reviewer-of-the-test"
	bootstrapToken = "abcdef.0123456789abcdef"
)

// restarted is a server whose store holds what decisions depend on, and which can't read it yet.
type restarted struct {
	*testserver.Server
	t *testing.T
	// release lets it read.
	release func()
	// token is a service account token that was issued before.
	token string
}

func restart(t *testing.T) restarted {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	tokens, key := filepath.Join(t.TempDir(), "tokens.csv"), filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(tokens, []byte(reviewerToken+",reviewer,reviewer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	testserver.WriteSigningKey(t, key)
	flags := []string{
		"--controllers=", "--token-auth-file=" + tokens, "--enable-bootstrap-token-auth", "--service-account-issuer=https://tokens.example",
		"--service-account-signing-key-file=" + key,
	}
	before := testserver.Start(t, append(flags, "--etcd-servers="+member.Endpoint())...)
	fill(t, before)
	token := issue(t, before.Admin(), "app", nil)
	if err := before.Stop(); err != nil {
		t.Fatal(err)
	}
	endpoint, release := slowList(t, member.Endpoint())
	return restarted{testserver.Launch(t, append(flags, "--etcd-servers="+endpoint)...), t, release, token}
}

// fill stores an account, a bootstrap token, 100 bindings, and what the reviewer may do.
func fill(t *testing.T, server *testserver.Server) {
	t.Helper()
	ctx, admin := t.Context(), server.Admin()
	var now metav1.CreateOptions
	if _, err := admin.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CoreV1().Secrets("kube-system").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"},
	}, now); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := admin.RbacV1().RoleBindings("default").Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("reader-%d", i)},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: fmt.Sprintf("reader-%d", i)}},
		}, now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reviewer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "reviewer"}},
	}, now); err != nil {
		t.Fatal(err)
	}
}

// send sends a request, such as "POST /authenticate", and returns the answer whole.
func (r restarted) send(token, request, body string) (status int, header http.Header, answer string) {
	r.t.Helper()
	client, err := rest.HTTPClientFor(r.TokenConfig(token))
	if err != nil {
		r.t.Fatal(err)
	}
	method, path, _ := strings.Cut(request, " ")
	sent, err := http.NewRequestWithContext(r.t.Context(), method, r.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	sent.Header.Set("Content-Type", "application/json")
	response, err := client.Do(sent)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(content)
}

// TestNoVerdictBeforeTheStoreIsRead restarts a server whose store takes long to be read. Until then no request is told
// that a caller, a token or a permission is not known, and the documents that need none of that are there.
func TestNoVerdictBeforeTheStoreIsRead(t *testing.T) {
	t.Parallel()
	r := restart(t)
	const (
		reviews = "POST /apis/authentication.k8s.io/v1/tokenreviews"
		checks  = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews"
		selves  = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews"
		self    = `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}`
		access  = `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","spec":{"user":"reader-1","resourceAttributes":{"verb":"get","resource":"pods","namespace":"default"}}}`
	)
	review := func(token string) string {
		return `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + token + `"}}`
	}
	tests := []struct {
		name, token, request, body string
		before, after              int
		want                       string // in the answer when the store is read
	}{
		{"a review on the fast path", reviewerToken, reviews, review(r.token), 503, 201, `"authenticated":true`},
		{"a review in the generic chain", reviewerToken, reviews + "?timeout=20s", review(r.token), 503, 201, `"authenticated":true`},
		{"a review of a bootstrap token", reviewerToken, reviews, review(bootstrapToken), 503, 201, `"authenticated":true`},
		{"the webhook", reviewerToken, "POST /authenticate", review(r.token), 503, 201, `"authenticated":true`},
		{"an access review", reviewerToken, checks, access, 503, 201, `"allowed":true`},
		{"a caller by bootstrap token", bootstrapToken, selves, self, 503, 201, "system:bootstrap:abcdef"},
		{"a caller by an unknown token", "nonsense", selves, self, 503, 401, "Unauthorized"},
		{"a token request", r.token, "POST /api/v1/namespaces/default/serviceaccounts/app/token", `{}`, 503, 403, "Forbidden"},
		{"a list", "", "GET /api/v1/pods", "", 503, 403, "Forbidden"},
		{"a watch", r.token, "GET /api/v1/pods?watch=true", "", 503, 403, "Forbidden"},
		{"discovery", r.token, "GET /apis", "", 503, 200, "APIGroupList"},
		{"metrics", r.token, "GET /metrics", "", 503, 403, "Forbidden"},
		{"the version, by bootstrap token, which is looked up", bootstrapToken, "GET /version", "", 200, 200, "gitVersion"},
		{"the version", "", "GET /version", "", 200, 200, "gitVersion"},
		{"liveness", "", "GET /livez", "", 500, 200, "ok"},
		{"readiness", "", "GET /readyz", "", 500, 200, "ok"},
		{"health", r.token, "GET /healthz", "", 500, 200, "ok"},
		{"the issuer's document", "", "GET /.well-known/openid-configuration", "", 200, 200, "tokens.example"},
		{"the issuer's keys", r.token, "GET /openid/v1/jwks", "", 200, 200, "keys"},
	}
	// All at once, since some wait for a while.
	var asked sync.WaitGroup
	for _, test := range tests {
		asked.Go(func() {
			status, header, answer := r.send(test.token, test.request, test.body)
			if status != test.before {
				t.Errorf("%s: status %d while the store is read, want %d: %s", test.name, status, test.before, answer)
			}
			if status == http.StatusServiceUnavailable {
				checkUnavailable(t, test.name, header, answer)
			}
		})
	}
	asked.Wait()
	// This one is still waiting when the store is read, or comes after it.
	asked.Go(func() {
		if status, _, answer := r.send(reviewerToken, reviews, review(r.token)); status != http.StatusCreated {
			t.Errorf("status %d for a review that waited: %s", status, answer)
		}
	})
	r.release()
	asked.Wait()
	<-r.Ready
	for _, test := range tests {
		if status, _, answer := r.send(test.token, test.request, test.body); status != test.after || !strings.Contains(answer, test.want) {
			t.Errorf("%s: status %d when the store is read, want %d and %q: %s", test.name, status, test.after, test.want, answer)
		}
	}
}

// checkUnavailable checks that an answer is a Status which says that there is no verdict yet, and when to come back.
func checkUnavailable(t *testing.T, name string, header http.Header, answer string) {
	t.Helper()
	var status metav1.Status
	if err := json.Unmarshal([]byte(answer), &status); err != nil {
		t.Errorf("%s: %v in %s", name, err, answer)
	}
	if status.Kind != "Status" || status.Reason != metav1.StatusReasonServiceUnavailable || status.Code != http.StatusServiceUnavailable {
		t.Errorf("%s: not a Status of an unavailable service: %s", name, answer)
	}
	if header.Get("Retry-After") != "1" {
		t.Errorf("%s: Retry-After is %q", name, header.Get("Retry-After"))
	}
}
