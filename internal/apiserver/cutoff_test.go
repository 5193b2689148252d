package apiserver_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

// shortStaleness is the bound of the servers in these tests.
const shortStaleness = 2 * time.Second

// storedFlags are those of servers that share an etcd and a key.
func storedFlags(t *testing.T) []string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key.pem")
	testserver.WriteSigningKey(t, key)
	return []string{
		"--controllers=", "--service-account-issuer=https://tokens.example", "--service-account-signing-key-file=" + key,
		"--max-staleness=" + shortStaleness.String(),
	}
}

// newMember starts an etcd, which ends when it is told so and at the latest with the test.
func newMember(t *testing.T, dir string) (endpoint string, stop func()) {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(member.Close)
	t.Cleanup(stop)
	return member.Endpoint(), stop
}

// allowReviews lets an account review tokens.
func allowReviews(t *testing.T, admin kubernetes.Interface, account string) {
	t.Helper()
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: account}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func etcdClient(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func makeAccounts(t *testing.T, admin kubernetes.Interface, names ...string) {
	t.Helper()
	for _, name := range names {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// tryReview reviews a token once, whatever the answer says about coming back.
func tryReview(ctx context.Context, client kubernetes.Interface, token string) (*authenticationv1.TokenReview, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	return review, client.AuthenticationV1().RESTClient().Post().Resource("tokenreviews").MaxRetries(0).Body(review).Do(ctx).Into(review)
}

// ask gets a path as the administrator does.
func ask(t *testing.T, s *testserver.Server, path string) (status int, answer string) {
	t.Helper()
	client, err := rest.HTTPClientFor(s.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// TestCutOff cuts a replica off from etcd without closing a connection. What another replica acknowledges in the meantime,
// that a pod and the reviewer's own right are gone, the first one doesn't know: it may say yes for no longer than the bound,
// and says nothing then. It is current again when it is connected again.
func TestCutOff(t *testing.T) {
	t.Parallel()
	endpoint, _ := newMember(t, t.TempDir())
	flags := storedFlags(t)
	line := newCable(t, endpoint)
	near := testserver.Start(t, append(flags, "--etcd-servers="+endpoint)...)
	far := testserver.Start(t, append(flags, "--etcd-servers="+line.Endpoint)...)
	makeAccounts(t, near.Admin(), "app", "reviewer")
	allowReviews(t, near.Admin(), "reviewer")
	token := issue(t, near.Admin(), "app", nil)
	reviewer := far.As(issue(t, near.Admin(), "reviewer", nil))
	eventually(t, "the far replica lets the reviewer review", func() bool {
		review, err := tryReview(t.Context(), reviewer, token)
		return err == nil && review.Status.Authenticated
	})

	line.freeze(true)
	if err := near.Admin().CoreV1().ServiceAccounts("default").Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := near.Admin().RbacV1().ClusterRoleBindings().Delete(t.Context(), "reviewer", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ended := time.Now()
	for last := ended; time.Since(ended) < 3*shortStaleness; {
		asked := time.Now()
		review, err := tryReview(t.Context(), reviewer, token)
		switch {
		case err == nil && review.Status.Authenticated:
			if asked.Sub(ended) > shortStaleness {
				t.Fatalf("an old yes, %s after its end", asked.Sub(ended))
			}
			last = asked
		case err == nil:
			t.Fatalf("a verdict that nothing can have told: %s", review.Status.Error)
		case !apierrors.IsServiceUnavailable(err):
			t.Fatalf("%s after the last yes: %v", asked.Sub(last), err)
		default:
			if seconds, ok := apierrors.SuggestsClientDelay(err); !ok || seconds < 1 {
				t.Errorf("the refusal doesn't say when to come back: %v", err)
			}
		}
	}
	if status, answer := ask(t, far, "/readyz"); status != http.StatusInternalServerError || !strings.Contains(answer, "live-index") {
		t.Errorf("/readyz is %d: %s", status, answer)
	}
	if status, answer := ask(t, far, "/livez"); status != http.StatusOK {
		t.Errorf("/livez is %d: %s", status, answer)
	}

	line.freeze(false)
	eventually(t, "the far replica knows that the reviewer may not ask", func() bool {
		_, err := tryReview(t.Context(), reviewer, token)
		return apierrors.IsForbidden(err)
	})
	if review, err := tryReview(t.Context(), far.Admin(), token); err != nil || review.Status.Authenticated {
		t.Errorf("the token of the deleted account: %v, %v", review, err)
	}
	eventually(t, "the far replica is ready", func() bool { status, _ := ask(t, far, "/readyz"); return status == http.StatusOK })
}

// TestRestoredStore puts an older state of etcd under a running server, which has acknowledged a deletion since. What the
// store says counts: the server doesn't keep to what it remembers.
func TestRestoredStore(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir(), t.TempDir()
	first, stopFirst := newMember(t, dir)
	line := newCable(t, first)
	server := testserver.Start(t, append(storedFlags(t), "--etcd-servers="+line.Endpoint)...)
	makeAccounts(t, server.Admin(), "app", "later")
	token := issue(t, server.Admin(), "app", nil)
	stopFirst()
	if err := os.CopyFS(filepath.Join(copied, "member"), os.DirFS(filepath.Join(dir, "member"))); err != nil {
		t.Fatal(err)
	}

	second, stopSecond := newMember(t, dir)
	line.plug(second)
	accounts := server.Admin().CoreV1().ServiceAccounts("default")
	eventually(t, "the account can be deleted", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := accounts.Delete(ctx, "app", metav1.DeleteOptions{})
		return err == nil || apierrors.IsNotFound(err)
	})
	eventually(t, "the token is refused", func() bool {
		review, err := tryReview(t.Context(), server.Admin(), token)
		return err == nil && !review.Status.Authenticated
	})
	stopSecond()

	restored, _ := newMember(t, copied)
	line.plug(restored)
	eventually(t, "the token is good again, as the account is there", func() bool {
		review, err := tryReview(t.Context(), server.Admin(), token)
		return err == nil && review.Status.Authenticated
	})
	if err := accounts.Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if review, err := tryReview(t.Context(), server.Admin(), token); err != nil || review.Status.Authenticated {
		t.Errorf("the token of the deleted account: %v, %v", review, err)
	}
}

// TestUnreadableObject puts garbage where an account and a binding are. Nothing else suffers from it, neither while the
// server runs nor when it starts; and what removes it heals.
func TestUnreadableObject(t *testing.T) {
	t.Parallel()
	endpoint, _ := newMember(t, t.TempDir())
	flags := append(storedFlags(t), "--etcd-servers="+endpoint)
	running := testserver.Start(t, flags...)
	makeAccounts(t, running.Admin(), "app", "spoiled")
	good, spoiled := issue(t, running.Admin(), "app", nil), issue(t, running.Admin(), "spoiled", nil)
	client := etcdClient(t, endpoint)
	for _, key := range []string{"/mintmark/serviceaccounts/default/spoiled", "/mintmark/rolebindings/default/spoiled", "/mintmark/pods/default/spoiled"} {
		if _, err := client.Put(t.Context(), key, "garbage"); err != nil {
			t.Fatal(err)
		}
	}
	check := func(t *testing.T, s *testserver.Server) {
		t.Helper()
		eventually(t, "there is no verdict about what can't be read", func() bool {
			_, err := tryReview(t.Context(), s.Admin(), spoiled)
			return err != nil
		})
		if review, err := tryReview(t.Context(), s.Admin(), good); err != nil || !review.Status.Authenticated {
			t.Errorf("the token of another account: %v, %v", review, err)
		}
		if status, answer := ask(t, s, "/readyz?verbose"); status != http.StatusOK || !strings.Contains(answer, "[!]1 stored pods can't be read") {
			t.Errorf("/readyz is %d: %s", status, answer)
		}
	}
	check(t, running)
	started := testserver.Start(t, flags...)
	check(t, started)

	if _, err := client.Delete(t.Context(), "/mintmark/serviceaccounts/default/spoiled"); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*testserver.Server{running, started} {
		eventually(t, "the token is refused when its account is removed", func() bool {
			review, err := tryReview(t.Context(), s.Admin(), spoiled)
			return err == nil && !review.Status.Authenticated
		})
	}
}
