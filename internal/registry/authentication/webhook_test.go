package authentication_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
	"github.com/mintmark/mintmark/webhookconformance"
)

const (
	clusterAudience = "https://cluster.example"
	webhookTokens   = `clustertoken,cluster,cluster-uid,system:masters
nobodytoken,nobody,nobody-uid
`
)

// newWebhookServer starts a server to which clusters send their reviews.
func newWebhookServer(t *testing.T, flags ...string) *testserver.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(file, []byte(webhookTokens), 0o600); err != nil {
		t.Fatal(err)
	}
	return testserver.Start(t, append([]string{
		"--controllers=", "--token-auth-file=" + file, "--api-audiences=" + clusterAudience,
		"--service-account-issuer=https://issuer.example",
	}, flags...)...)
}

// clusterConfig is the connection that docs/webhook.md has a kube-apiserver use.
func clusterConfig(t *testing.T, s *testserver.Server, token string) *rest.Config {
	t.Helper()
	text := `apiVersion: v1
kind: Config
clusters:
- name: mintmark
  cluster: {server: ` + s.URL + `/authenticate, certificate-authority: ` + filepath.Join(s.DataDir, "ca.crt") + `}
users:
- name: kube-apiserver
  user: {token: ` + token + `}
contexts:
- name: webhook
  context: {cluster: mintmark, user: kube-apiserver}
current-context: webhook
`
	file := filepath.Join(t.TempDir(), "mintmark.kubeconfig")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := webhookutil.LoadKubeconfig(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// kubeAPIServer is what a kube-apiserver asks its webhook with; its own API audience is the cluster's.
func kubeAPIServer(t *testing.T, config *rest.Config, version string) authenticator.Token {
	t.Helper()
	client, err := webhook.New(config, version, authenticator.Audiences{clusterAudience}, wait.Backoff{Duration: time.Millisecond, Factor: 1, Steps: 3})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func accountToken(t *testing.T, s *testserver.Server, audiences ...string) string {
	t.Helper()
	ctx, accounts := t.Context(), s.Admin().CoreV1().ServiceAccounts("default")
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{})
	if err != nil && !strings.Contains(err.Error(), "already exists") {
		t.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	request, err = accounts.CreateToken(ctx, "app", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// A kube-apiserver gets users, audiences and reasons right, whichever version it was told to send.
func TestAsWebhookOfAKubeAPIServer(t *testing.T) {
	t.Parallel()
	s := newWebhookServer(t)
	forCluster, forVault := accountToken(t, s, clusterAudience), accountToken(t, s, "vault")
	for _, version := range []string{"v1", "v1beta1"} {
		client := kubeAPIServer(t, clusterConfig(t, s, "clustertoken"), version)
		for name, test := range map[string]struct {
			token     string
			asked     authenticator.Audiences
			user      string
			audiences string
			refusal   string
		}{
			"an account's":                 {token: forCluster, asked: authenticator.Audiences{clusterAudience}, user: "system:serviceaccount:default:app", audiences: clusterAudience},
			"without audiences":            {token: forCluster, user: "system:serviceaccount:default:app"},
			"one of many audiences":        {token: forVault, asked: authenticator.Audiences{"a", "vault", "b"}, user: "system:serviceaccount:default:app", audiences: "vault"},
			"static":                       {token: "nobodytoken", asked: authenticator.Audiences{clusterAudience}, user: "nobody", audiences: clusterAudience},
			"for somebody else":            {token: forVault, asked: authenticator.Audiences{clusterAudience}, refusal: `token audiences ["vault"] is invalid for the target audiences ["https://cluster.example"]`},
			"for somebody else, not asked": {token: forVault, refusal: `token audiences ["vault"] is invalid`},
			"reason for other audiences":   {token: forCluster, asked: authenticator.Audiences{"vault"}, refusal: `is invalid for the target audiences ["vault"]`},
			"unknown":                      {token: "unknown", asked: authenticator.Audiences{clusterAudience}, refusal: "invalid bearer token"},
			"changed":                      {token: forCluster[:len(forCluster)-4] + "AAAA", asked: authenticator.Audiences{clusterAudience}, refusal: "error in cryptographic primitive"},
		} {
			t.Run(version+"/"+name, func(t *testing.T) {
				ctx := t.Context()
				if test.asked != nil {
					ctx = authenticator.WithAudiences(ctx, test.asked)
				}
				response, ok, err := client.AuthenticateToken(ctx, test.token)
				if test.refusal != "" {
					if ok || err == nil || !strings.Contains(err.Error(), test.refusal) {
						t.Errorf("%v %v, want %s", ok, err, test.refusal)
					}
					return
				}
				if !ok || err != nil {
					t.Fatal(ok, err)
				}
				if got := response.User.GetName(); got != test.user {
					t.Errorf("user %s", got)
				}
				if got := strings.Join(response.Audiences, " "); got != test.audiences {
					t.Errorf("audiences %q", got)
				}
				if strings.HasPrefix(test.user, "system:") {
					if extra := response.User.GetExtra()["authentication.kubernetes.io/credential-id"]; len(extra) != 1 || !strings.HasPrefix(extra[0], "JTI=") {
						t.Errorf("extra %v", response.User.GetExtra())
					}
				}
			})
		}
	}
	t.Run("who may ask", func(t *testing.T) { whoMayAsk(t, s, forCluster) })
	t.Run("a reviewer may", func(t *testing.T) { reviewerMayAsk(t, s, forCluster) })
	t.Run("bodies", func(t *testing.T) { webhookBodies(t, s, forCluster) })
	t.Run("conformance", func(t *testing.T) { webhookConforms(t, s, forCluster, "nobodytoken") })
}

// Asking is creating tokenreviews.authentication.k8s.io, here as well.
func whoMayAsk(t *testing.T, s *testserver.Server, token string) {
	for caller, want := range map[string]string{
		"nobodytoken": `tokenreviews.authentication.k8s.io is forbidden: User "nobody" cannot create resource "tokenreviews" in API group "authentication.k8s.io" at the cluster scope`,
		"wrongtoken":  "Unauthorized",
		"":            "cannot create resource",
	} {
		_, ok, err := kubeAPIServer(t, clusterConfig(t, s, caller), "v1").AuthenticateToken(t.Context(), token)
		if ok || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v %v", caller, ok, err)
		}
	}
}

// The role that docs/webhook.md gives to a kube-apiserver is enough.
func reviewerMayAsk(t *testing.T, s *testserver.Server, token string) {
	_, err := s.Admin().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "cluster-webhook"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "nobody"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client := kubeAPIServer(t, clusterConfig(t, s, "nobodytoken"), "v1beta1")
	if _, ok, err := client.AuthenticateToken(t.Context(), token); !ok || err != nil {
		t.Error(ok, err)
	}
}

// The webhook keeps to what it demands of others, for a token of each kind.
func webhookConforms(t *testing.T, s *testserver.Server, tokens ...string) {
	for _, token := range tokens {
		options := webhookconformance.Options{Token: token, Audience: clusterAudience}
		for result := range webhookconformance.Run(t.Context(), clusterConfig(t, s, "clustertoken"), options) {
			if result.Err != nil || result.Skipped != "" {
				t.Errorf("%s: %v %s", result.Name, result.Err, result.Skipped)
			}
		}
	}
}

func webhookBodies(t *testing.T, s *testserver.Server, token string) {
	config := clusterConfig(t, s, "clustertoken")
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	inProtobuf, err := runtime.Encode(scheme.Codecs.EncoderForVersion(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), authenticationv1beta1.SchemeGroupVersion),
		&authenticationv1beta1.TokenReview{Spec: authenticationv1beta1.TokenReviewSpec{Token: token}})
	if err != nil {
		t.Fatal(err)
	}
	const jsonType = "application/json"
	for name, test := range map[string]struct {
		method, contentType, body string
		status                    int
		want                      string
	}{
		"v1":         {body: `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + token + `"}}`, status: 201, want: `"apiVersion":"authentication.k8s.io/v1"`},
		"v1beta1":    {body: `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","spec":{"token":"` + token + `"}}`, status: 201, want: `"apiVersion":"authentication.k8s.io/v1beta1"`},
		"YAML":       {contentType: "application/yaml", body: "kind: TokenReview\napiVersion: authentication.k8s.io/v1\nspec: {token: " + token + "}", status: 201, want: `"authenticated":true`},
		"protobuf":   {contentType: "application/vnd.kubernetes.protobuf", body: string(inProtobuf), status: 201, want: `"authenticated":true`},
		"no kind":    {body: `{"spec":{"token":"` + token + `"}}`, status: 400, want: "Object 'Kind' is missing"},
		"no version": {body: `{"kind":"TokenReview","spec":{"token":"` + token + `"}}`, status: 400, want: "Object 'apiVersion' is missing"},
		"other kind": {body: `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":{}}`, status: 400, want: "not a TokenReview"},
		"v2": {
			body:   `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v2","spec":{"token":"` + token + `"}}`,
			status: 400, want: `no kind \"TokenReview\" is registered for version \"authentication.k8s.io/v2\"`,
		},
		"no token":     {body: `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1"}`, status: 400, want: "token is required for TokenReview in authentication"},
		"the token":    {body: token, status: 400, want: "json parse error"},
		"nothing":      {status: 400, want: "BadRequest"},
		"too long":     {body: `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + strings.Repeat("a", 3<<20) + `"}}`, status: 413, want: "limit is 3145728"},
		"unknown type": {contentType: "text/csv", body: token, status: 415, want: "UnsupportedMediaType"},
		"GET":          {method: http.MethodGet, status: 405, want: "MethodNotAllowed"},
	} {
		t.Run(name, func(t *testing.T) {
			method, contentType := http.MethodPost, jsonType
			if test.method != "" {
				method = test.method
			}
			if test.contentType != "" {
				contentType = test.contentType
			}
			request, err := http.NewRequestWithContext(t.Context(), method, config.Host, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", contentType)
			request.Header.Set("Accept", jsonType)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			var answer bytes.Buffer
			if _, err := answer.ReadFrom(response.Body); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || !strings.Contains(answer.String(), test.want) {
				t.Errorf("%d %s", response.StatusCode, answer.String())
			}
			if !json.Valid(answer.Bytes()) || strings.Contains(answer.String(), token) {
				t.Errorf("not JSON, or the token is in it: %s", answer.String())
			}
		})
	}
}

// A server that is not there is an error to the cluster, not a refusal.
func TestWebhookIsUnavailable(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: "https://" + listener.Addr().String() + "/authenticate"}
	_ = listener.Close()
	_, ok, err := kubeAPIServer(t, config, "v1").AuthenticateToken(t.Context(), "token")
	if ok || err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Error(ok, err)
	}
}

// A server that is slow, because it waits for others in turn, has an answer with a reason before the cluster's
// delegating servers give up, which is after ten seconds.
func TestWebhookIsSlow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes nine seconds")
	}
	hanging, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hanging.Close() })
	file := filepath.Join(t.TempDir(), "hanging.kubeconfig")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: h, cluster: {server: 'http://" + hanging.Addr().String() + "/x'}}]\n" +
		"contexts: [{name: h, context: {cluster: h}}]\ncurrent-context: h\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newWebhookServer(t, "--authentication-token-webhook-config-file="+file)
	client := kubeAPIServer(t, clusterConfig(t, s, "clustertoken"), "v1")
	ctx, cancel := context.WithTimeout(authenticator.WithAudiences(t.Context(), authenticator.Audiences{clusterAudience}), 10*time.Second)
	defer cancel()
	_, ok, err := client.AuthenticateToken(ctx, "nobody-knows-this-token")
	if ok || err == nil || !strings.Contains(err.Error(), "invalid bearer token, Post") {
		t.Error(ok, err)
	}
}
