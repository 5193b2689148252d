package apiserver_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestServeWithoutFlags is the first minute with a server: nothing is set up, and a token can be had.
func TestServeWithoutFlags(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	for name, mode := range map[string]os.FileMode{
		"ca.crt": 0o644, "key-encryption.key": 0o600, "serving.key": 0o600, "admin.kubeconfig": 0o600,
	} {
		info, err := os.Stat(filepath.Join(server.DataDir, name))
		if err != nil {
			t.Errorf("not made: %v", err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
	admin := server.Admin()
	token := issue(t, admin, "default", nil)
	if status := review(t, admin, token); !status.Authenticated {
		t.Errorf("refused: %s", status.Error)
	}
	self, err := server.As(token).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if name := self.Status.UserInfo.Username; name != "system:serviceaccount:default:default" {
		t.Errorf("the token is of %s", name)
	}
}

// TestReviewAfterAcknowledgedDelete deletes what a token is bound to and reviews it at once, with the signature already
// remembered.
func TestReviewAfterAcknowledgedDelete(t *testing.T) {
	t.Parallel()
	admin := testserver.Start(t, "--controllers=").Admin()
	ctx := t.Context()
	core := admin.CoreV1()
	now := metav1.DeleteOptions{}
	for name, kind := range map[string]struct {
		object         *authenticationv1.BoundObjectReference
		create, remove func() error
		want           string
	}{
		"pod": {
			object: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "web"},
			create: func() error { _, err := core.Pods("default").Create(ctx, pod(), metav1.CreateOptions{}); return err },
			remove: func() error { return core.Pods("default").Delete(ctx, "web", now) },
			want:   "[invalid bearer token, service account token has been invalidated]",
		},
		"secret": {
			object: &authenticationv1.BoundObjectReference{Kind: "Secret", APIVersion: "v1", Name: "bond"},
			create: func() error {
				_, err := core.Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bond"}}, metav1.CreateOptions{})
				return err
			},
			remove: func() error { return core.Secrets("default").Delete(ctx, "bond", now) },
			want:   "[invalid bearer token, service account token has been invalidated]",
		},
		"node": {
			object: &authenticationv1.BoundObjectReference{Kind: "Node", APIVersion: "v1", Name: "worker"},
			create: func() error {
				_, err := core.Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker"}}, metav1.CreateOptions{})
				return err
			},
			remove: func() error { return core.Nodes().Delete(ctx, "worker", now) },
			want:   "[invalid bearer token, service account token has been invalidated]",
		},
		"account": {
			create: func() error { return nil },
			remove: func() error { return core.ServiceAccounts("default").Delete(ctx, "app-account", now) },
			want:   `[invalid bearer token, serviceaccounts "app-account" not found]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			account := "app-" + name
			for range 10 {
				_, err := core.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
				if err != nil && !apierrors.IsAlreadyExists(err) {
					t.Fatal(err)
				}
				if err := kind.create(); err != nil {
					t.Fatal(err)
				}
				token := issue(t, admin, account, kind.object)
				if status := review(t, admin, token); !status.Authenticated {
					t.Fatalf("refused while all is there: %s", status.Error)
				}
				if err := kind.remove(); err != nil {
					t.Fatal(err)
				}
				if status := review(t, admin, token); status.Authenticated || status.Error != kind.want {
					t.Fatalf("after the delete: authenticated %v, error %q; want %q", status.Authenticated, status.Error, kind.want)
				}
			}
		})
	}
}

// TestSentStatusIsDropped sends a verdict along with a bad token and must not get it back.
func TestSentStatusIsDropped(t *testing.T) {
	t.Parallel()
	admin := testserver.Start(t, "--controllers=").Admin()
	sent := &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: "bad"},
		Status: authenticationv1.TokenReviewStatus{
			Authenticated: true, User: authenticationv1.UserInfo{Username: "admin", Groups: []string{"system:masters"}}, Audiences: []string{"a"},
		},
	}
	got, err := admin.AuthenticationV1().TokenReviews().Create(t.Context(), sent, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(authenticationv1.TokenReviewStatus{Error: "invalid bearer token"}, got.Status); diff != "" {
		t.Error(diff)
	}
}

// TestNoLoopbackToken looks for the credential with which the library's servers call themselves: there is none, so
// nothing that is sent can be it.
func TestNoLoopbackToken(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--controllers=")
	for _, token := range []string{"system:apiserver", "mintmark"} {
		_, err := server.As(token).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if !apierrors.IsUnauthorized(err) {
			t.Errorf("error %v, want Unauthorized", err)
		}
	}
	// The in-process way in is a mark on the request's context, which no header can set.
	config := rest.AnonymousClientConfig(server.AdminConfig())
	config.Impersonate.UserName = "system:apiserver"
	if _, err := client(t, config).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("error %v, want Forbidden", err)
	}
}

// TestSigningKeyMustBeAccepted starts a server whose tokens nobody would accept.
func TestSigningKeyMustBeAccepted(t *testing.T) {
	t.Parallel()
	mine, other := filepath.Join(t.TempDir(), "mine.key"), filepath.Join(t.TempDir(), "other.key")
	for _, file := range []string{mine, other} {
		testserver.WriteSigningKey(t, file)
	}
	cfg, err := testserver.Config(t, "--service-account-signing-key-file="+mine, "--service-account-key-file="+other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apiserver.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "add it with --service-account-key-file="+mine) {
		t.Errorf("error %v", err)
	}
	testserver.Start(t, "--controllers=", "--service-account-signing-key-file="+mine, "--service-account-key-file="+other, "--service-account-key-file="+mine)
}

func TestAnonymousIssuerDiscovery(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]int{"true": http.StatusOK, "false": http.StatusForbidden} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			server := testserver.Start(t, "--controllers=", "--anonymous-issuer-discovery="+flag)
			for _, path := range []string{"/.well-known/openid-configuration", "/openid/v1/jwks"} {
				if got := get(t, server, path); got != want {
					t.Errorf("%s: status %d, want %d", path, got, want)
				}
			}
			if got := get(t, server, "/metrics"); got != http.StatusForbidden {
				t.Errorf("/metrics: status %d, want 403", got)
			}
		})
	}
}

func get(t *testing.T, server *testserver.Server, path string) int {
	t.Helper()
	anonymous, err := rest.HTTPClientFor(rest.AnonymousClientConfig(server.AdminConfig()))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := anonymous.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	return response.StatusCode
}

// TestCallersWhoAreNobody asks for what only an administrator may have.
func TestCallersWhoAreNobody(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	token := issue(t, server.Admin(), "default", nil)
	for name, caller := range map[string]kubernetes.Interface{"nobody": server.As(""), "service account": server.As(token)} {
		_, err := caller.CoreV1().ServiceAccounts("default").CreateToken(context.Background(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s asks for a token: %v, want Forbidden", name, err)
		}
		_, err = caller.AuthenticationV1().TokenReviews().Create(context.Background(),
			&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s reviews a token: %v, want Forbidden", name, err)
		}
	}
}

func pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.PodSpec{ServiceAccountName: "app-pod", Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
}

func issue(t *testing.T, admin kubernetes.Interface, account string, bound *authenticationv1.BoundObjectReference) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: bound}}
	issued, err := admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	for apierrors.IsNotFound(err) && account == "default" && t.Context().Err() == nil {
		// The controller makes the account a moment after the namespace.
		issued, err = admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return issued.Status.Token
}

func review(t *testing.T, reviewer kubernetes.Interface, token string, audiences ...string) authenticationv1.TokenReviewStatus {
	t.Helper()
	answer, err := reviewer.AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status
}

func client(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
