package apiserver_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

// reviewed is a server with a pod, and the token that the pod's program has.
type reviewed struct {
	*testserver.Server
	account *corev1.ServiceAccount
	pod     *corev1.Pod
}

func newReviewed(t *testing.T) reviewed {
	t.Helper()
	t.Parallel()
	return startReviewed(t)
}

func startReviewed(t *testing.T, flags ...string) reviewed {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(file, []byte("reviewertoken,reviewer,reviewer-uid,system:masters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := reviewed{Server: testserver.Start(t, append(flags, "--controllers=", "--token-auth-file="+file)...)}
	ctx, core := t.Context(), r.Admin().CoreV1()
	var err error
	if r.account, err = core.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err = core.Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.pod, err = core.Pods("default").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "app-1"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "app", NodeName: "n1",
			Containers: []corev1.Container{{Name: "c", Image: "i"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r reviewed) token(t *testing.T, audiences ...string) string {
	t.Helper()
	request, err := r.Admin().CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "app", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:      audiences,
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: r.pod.Name, UID: r.pod.UID},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// metrics-server, kube-rbac-proxy and every aggregated API server ask with this authenticator.
func TestDelegatingAuthenticator(t *testing.T) {
	s := newReviewed(t)
	config := authenticatorfactory.DelegatingAuthenticatorConfig{
		Anonymous:                &apiserver.AnonymousAuthConfig{Enabled: true},
		TokenAccessReviewClient:  s.As("reviewertoken").AuthenticationV1(),
		TokenAccessReviewTimeout: 10 * time.Second,
		WebhookRetryBackoff:      &wait.Backoff{Duration: time.Millisecond, Factor: 1.5, Steps: 5},
	}
	delegating, _, err := config.New()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) (user.Info, bool, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://metrics.example/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, ok, err := delegating.AuthenticateRequest(request)
		if !ok || err != nil {
			return nil, ok, err
		}
		return response.User, true, nil
	}
	who, ok, err := ask(s.token(t))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}
	if who.GetName() != "system:serviceaccount:default:app" || who.GetUID() != string(s.account.UID) || !slices.Equal(who.GetGroups(), groups) {
		t.Errorf("%+v", who)
	}
	if who, ok, err := ask(""); !ok || err != nil || who.GetName() != "system:anonymous" {
		t.Errorf("nobody: %v %v %v", who, ok, err)
	}
	for token, reason := range map[string]string{
		"garbage":           "invalid bearer token",
		s.token(t, "vault"): `token audiences ["vault"] is invalid for the target audiences`,
	} {
		if who, ok, err := ask(token); ok || err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%v %v %v", who, ok, err)
		}
	}
	// It doesn't remember the verdict here (CacheTTL is 0), and neither do we.
	token := s.token(t)
	if _, ok, err := ask(token); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := s.Admin().CoreV1().Pods("default").Delete(t.Context(), s.pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	if who, ok, err := ask(token); ok || err == nil || !strings.Contains(err.Error(), "service account token has been invalidated") {
		t.Errorf("after the pod: %v %v %v", who, ok, err)
	}
}

// vaultAsks sends a review as Vault's Kubernetes auth method does, which speaks HTTP itself.
func vaultAsks(t *testing.T, s *testserver.Server, reviewer, token string, audiences ...string) (status int, body []byte) {
	t.Helper()
	request, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": map[string]any{"creationTimestamp": nil},
		"spec": map[string]any{"token": token, "audiences": audiences}, "status": map[string]any{"user": map[string]any{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	call, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/apis/authentication.k8s.io/v1/tokenreviews", bytes.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	call.Header.Set("Authorization", "Bearer "+reviewer)
	call.Header.Set("Content-Type", "application/json")
	call.Header.Set("Accept", "application/json")
	client, err := rest.HTTPClientFor(rest.AnonymousClientConfig(s.AdminConfig()))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(call)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// Vault takes the answer for a Status first, and only because a TokenReview's status is no text does it see that it isn't one.
func TestVaultsCalls(t *testing.T) {
	s := newReviewed(t)
	ask := func(reviewer, token string, audiences ...string) (int, []byte) {
		return vaultAsks(t, s.Server, reviewer, token, audiences...)
	}
	isStatus := func(body []byte) bool { return json.Unmarshal(body, &metav1.Status{}) == nil }

	status, body := ask("reviewertoken", s.token(t, "vault"), "vault")
	if status != http.StatusCreated || isStatus(body) {
		t.Fatalf("%d %s", status, body)
	}
	var review authenticationv1.TokenReview
	if err := json.Unmarshal(body, &review); err != nil || !review.Status.Authenticated || review.Status.Error != "" {
		t.Fatal(err, review.Status)
	}
	parts := strings.Split(review.Status.User.Username, ":")
	if !slices.Equal(parts, []string{"system", "serviceaccount", "default", "app"}) || review.Status.User.UID != string(s.account.UID) {
		t.Errorf("%+v", review.Status.User)
	}
	if !slices.Equal(review.Status.Audiences, []string{"vault"}) || !slices.Contains(review.Status.User.Groups, "system:serviceaccounts") {
		t.Errorf("%+v", review.Status)
	}

	status, body = ask("reviewertoken", s.token(t, "other"), "vault")
	review = authenticationv1.TokenReview{}
	if err := json.Unmarshal(body, &review); status != http.StatusCreated || isStatus(body) || err != nil || review.Status.Authenticated || review.Status.Error == "" {
		t.Errorf("refused: %d %s", status, body)
	}
	// A reviewer whose own token is wrong gets a Status.
	status, body = ask("wrong", s.token(t, "vault"), "vault")
	if status != http.StatusUnauthorized || !isStatus(body) {
		t.Errorf("wrong reviewer: %d %s", status, body)
	}
}

// SPIRE's k8s_psat attestor finds the pod and its node by what the review says, and asks for both.
func TestSPIREsCalls(t *testing.T) {
	s := newReviewed(t)
	client := s.As("reviewertoken")
	review, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: s.token(t, "spire-server"), Audiences: []string{"spire-server"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	status := review.Status
	if !status.Authenticated || status.Error != "" || !slices.Equal(status.Audiences, []string{"spire-server"}) {
		t.Fatalf("%+v", status)
	}
	namespace, account, _ := strings.Cut(strings.TrimPrefix(status.User.Username, "system:serviceaccount:"), ":")
	if namespace != "default" || account != "app" {
		t.Errorf("user %s", status.User.Username)
	}
	only := func(key string) string {
		values := status.User.Extra["authentication.kubernetes.io/"+key]
		if len(values) != 1 {
			t.Fatalf("%s: %v", key, values)
		}
		return values[0]
	}
	pod, err := client.CoreV1().Pods(namespace).Get(t.Context(), only("pod-name"), metav1.GetOptions{})
	if err != nil || string(pod.UID) != only("pod-uid") {
		t.Fatal(err, pod.UID, status.User.Extra)
	}
	node, err := client.CoreV1().Nodes().Get(t.Context(), pod.Spec.NodeName, metav1.GetOptions{})
	if err != nil || node.UID == "" || only("node-name") != node.Name || only("node-uid") != string(node.UID) {
		t.Error(err, node, status.User.Extra)
	}
}
