package tokenreview_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
	"github.com/mintmark/mintmark/tokenreview"
)

// newReplicas starts two servers over one etcd, with an account for a reviewer of each kind.
func newReplicas(t *testing.T) (a, b *testserver.Server) {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	key := filepath.Join(t.TempDir(), "key.pem")
	testserver.WriteSigningKey(t, key)
	flags := []string{
		"--controllers=", "--service-account-issuer=https://tokens.example", "--service-account-signing-key-file=" + key,
		"--etcd-servers=" + member.Endpoint(),
	}
	a, b = testserver.Start(t, flags...), testserver.Start(t, flags...)
	for account, role := range map[string]string{"reviewer": "mintmark:reviewer", "delegator": "system:auth-delegator"} {
		makeAccount(t, a.Admin(), account)
		if _, err := a.Admin().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: account},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: account}},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

func makeAccount(t *testing.T, admin kubernetes.Interface, name string) {
	t.Helper()
	if _, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func issue(t *testing.T, admin kubernetes.Interface, account string, bound *authenticationv1.BoundObjectReference) string {
	t.Helper()
	request, err := admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: bound}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// TestFeedOfReplicas ends tokens at one of two servers, in every way. A client of the other one, which caches for five minutes, refuses them
// within a second of the acknowledgement.
func TestFeedOfReplicas(t *testing.T) {
	t.Parallel()
	a, b := newReplicas(t)
	admin := a.Admin()
	client := newClient(t, b.TokenConfig(issue(t, admin, "reviewer", nil)))
	eventually(t, "the feed is whole", func() bool { return client.Stats().FeedWhole })
	accounts, secrets, pods := admin.CoreV1().ServiceAccounts("default"), admin.CoreV1().Secrets("default"), admin.CoreV1().Pods("default")
	now, later := int64(0), int64(3600)
	revoke := func(spec v1alpha1.TokenRevocationSpec) error {
		body, _ := json.Marshal(v1alpha1.TokenRevocation{
			TypeMeta: metav1.TypeMeta{APIVersion: "mintmark.io/v1alpha1", Kind: "TokenRevocation"}, Spec: spec,
		})
		return admin.CoreV1().RESTClient().Post().AbsPath("/apis/mintmark.io/v1alpha1/tokenrevocations").Body(body).SetHeader("Content-Type", "application/json").Do(t.Context()).Error()
	}
	for name, test := range map[string]struct {
		bound string
		end   func(name, token string) error
		holds bool // the token is good for a while
	}{
		"account": {end: func(name, _ string) error { return accounts.Delete(t.Context(), name, metav1.DeleteOptions{}) }},
		"pod": {bound: "Pod", end: func(name, _ string) error {
			return pods.Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		}},
		"leaving": {bound: "Pod", holds: true, end: func(name, _ string) error {
			return pods.Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &later})
		}},
		"secret": {bound: "Secret", end: func(name, _ string) error { return secrets.Delete(t.Context(), name, metav1.DeleteOptions{}) }},
		"node": {bound: "Node", end: func(name, _ string) error {
			return admin.CoreV1().Nodes().Delete(t.Context(), name, metav1.DeleteOptions{})
		}},
		"token": {end: func(_, token string) error { return revoke(v1alpha1.TokenRevocationSpec{Token: token}) }},
	} {
		makeAccount(t, admin, name)
		token := issue(t, admin, name, bind(t, admin, test.bound, name))
		eventually(t, name+" is let in", func() bool { _, ok, _ := client.AuthenticateToken(t.Context(), token); return ok })
		eventually(t, name+" is cached", func() bool {
			before := client.Stats().Requests
			_, _, _ = client.AuthenticateToken(t.Context(), token)
			return client.Stats().Requests == before
		})
		requests := client.Stats().Requests
		if err := test.end(name, token); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		acknowledged := time.Now()
		if test.holds {
			eventually(t, name+" is reviewed again", func() bool {
				_, ok, _ := client.AuthenticateToken(t.Context(), token)
				return ok && client.Stats().Requests > requests
			})
			continue
		}
		for {
			_, ok, err := client.AuthenticateToken(t.Context(), token)
			if !ok {
				t.Logf("%s: refused %s after the acknowledgement: %v", name, time.Since(acknowledged).Round(time.Millisecond), err)
				break
			}
			if time.Since(acknowledged) > time.Second {
				t.Fatalf("%s: still accepted after a second", name)
			}
			time.Sleep(time.Millisecond)
		}
	}
	t.Run("raw", func(t *testing.T) { rawWatch(t, a, b) })
	without := newClient(t, b.TokenConfig(issue(t, admin, "delegator", nil)))
	if _, ok, err := without.AuthenticateToken(t.Context(), issue(t, admin, "reviewer", nil)); !ok || without.Stats().FeedWhole {
		t.Errorf("a reviewer without the feed: %t, %v", ok, err)
	}
}

// bind makes the object that a token is to be bound to.
func bind(t *testing.T, admin kubernetes.Interface, kind, name string) *authenticationv1.BoundObjectReference {
	t.Helper()
	var err error
	meta := metav1.ObjectMeta{Name: name}
	switch kind {
	case "":
		return nil
	case "Pod":
		_, err = admin.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
			ServiceAccountName: name, NodeName: "far-away", Containers: []corev1.Container{{Name: "c", Image: "i"}},
		}}, metav1.CreateOptions{})
	case "Secret":
		_, err = admin.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: meta}, metav1.CreateOptions{})
	case "Node":
		_, err = admin.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: meta}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &authenticationv1.BoundObjectReference{Kind: kind, APIVersion: "v1", Name: name}
}

func newClient(t *testing.T, config *rest.Config) *tokenreview.Client {
	t.Helper()
	client, err := tokenreview.New(tokenreview.Config{Server: config, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// rawWatch watches as kubectl get --raw does: from now, from a version that the other replica told, and from one that is too old.
func rawWatch(t *testing.T, a, b *testserver.Server) {
	lines := func(s *testserver.Server, query string, enough func(line string) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		http1, err := rest.HTTPClientFor(s.AdminConfig())
		if err != nil {
			t.Fatal(err)
		}
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/apis/mintmark.io/v1alpha1/tokenreviewevents?"+query, nil)
		response, err := http1.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			if enough(scanner.Text()) {
				return
			}
		}
		t.Errorf("%s: the answer (%d) ended too early", query, response.StatusCode)
	}
	leaving, err := a.Admin().CoreV1().Pods("default").Get(t.Context(), "leaving", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	number := func(version string) int { n, _ := strconv.Atoi(version); return n }
	version, bookmarks := "", 0
	lines(a, "watch=1", func(line string) bool {
		var told struct {
			Type   string
			Object v1alpha1.TokenReviewEvent
		}
		if err := json.Unmarshal([]byte(line), &told); err != nil {
			t.Fatal(err)
		}
		if told.Type == "ADDED" && (told.Object.Object == nil || told.Object.Object.Name != "leaving") {
			t.Errorf("what is going to end: %s", line)
		}
		version = told.Object.ResourceVersion
		if told.Type != "BOOKMARK" {
			return false
		}
		bookmarks++
		if proof := told.Object.Proof; time.Since(proof.Time.Time) > 3*time.Second || (bookmarks == 1) != (len(proof.Issuers) == 1 && proof.Issuers[0] == "https://tokens.example") {
			t.Errorf("bookmark %d: %s", bookmarks, line)
		}
		return number(version) >= number(leaving.ResourceVersion)
	})
	makeAccount(t, a.Admin(), "brief")
	if err := a.Admin().CoreV1().ServiceAccounts("default").Delete(t.Context(), "brief", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	lines(b, "watch=1&resourceVersion="+version, func(line string) bool {
		return strings.Contains(line, `"ADDED"`) && strings.Contains(line, `"name":"brief"`)
	})
	lines(b, "watch=1&resourceVersion=1", func(line string) bool { return strings.Contains(line, `"code":410`) })
	lines(b, "watch=1&labelSelector=a%3Db", func(line string) bool { return strings.Contains(line, `"code":400`) })
	lines(b, "", func(line string) bool {
		return strings.Contains(line, `"TokenReviewEventList"`) || strings.Contains(line, "leaving")
	})
}
