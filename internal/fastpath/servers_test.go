package fastpath_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
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
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	reviewsPath = "/apis/authentication.k8s.io/v1/tokenreviews"
	requestPath = "/api/v1/namespaces/default/serviceaccounts/app/token"
	tokenBody   = `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":{"expirationSeconds":600}}`
)

func reviewOf(token string) string {
	return `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + token + `"}}`
}

// servers are two over one store, which differ in their transport alone.
type servers struct {
	generic, fast *testserver.Server
	// token is one of the account app.
	token string
}

// sides are the two, by name.
func (s *servers) sides() map[string]*testserver.Server {
	return map[string]*testserver.Server{"generic": s.generic, "fast": s.fast}
}

// start runs the two servers. Users are lines of a token file; those in the group "reviewers" may have tokens reviewed and
// issued. The flags of one server may have {side} in them.
func start(t testing.TB, users []string, flags ...string) *servers {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	dir := t.TempDir()
	key, tokens := filepath.Join(dir, "key.pem"), filepath.Join(dir, "tokens.csv")
	testserver.WriteSigningKey(t, key)
	if err := os.WriteFile(tokens, []byte(strings.Join(users, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(side string, more ...string) *testserver.Server {
		all := slices.Concat(more, flags, []string{
			"--etcd-servers=" + member.Endpoint(), "--controllers=", "--service-account-issuer=https://tokens.example",
			"--service-account-signing-key-file=" + key, "--token-auth-file=" + tokens,
		})
		for i := range all {
			all[i] = strings.ReplaceAll(all[i], "{side}", side)
		}
		return testserver.Start(t, all...)
	}
	s := &servers{generic: run("generic", "--fast-path=false"), fast: run("fast")}
	s.prepare(t)
	return s
}

// prepare makes what requests need, and waits until both servers know of it.
func (s *servers) prepare(t testing.TB) {
	t.Helper()
	ctx, admin := t.Context(), s.generic.Admin()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(admin.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}))
	must(admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "reviewers"},
		Rules: []rbacv1.PolicyRule{
			{Verbs: []string{"create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}},
			{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}},
			{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: []string{"alice"}},
		},
	}, metav1.CreateOptions{}))
	must(admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reviewers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "reviewers"},
		Subjects: []rbacv1.Subject{
			{Kind: "Group", APIGroup: "rbac.authorization.k8s.io", Name: "reviewers"},
			{Kind: "ServiceAccount", Namespace: "default", Name: "app"},
		},
	}, metav1.CreateOptions{}))
	issued, err := admin.CoreV1().ServiceAccounts("default").CreateToken(ctx, "app", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(issued, err)
	s.token = issued.Status.Token
	for {
		_, err := s.fast.As(s.token).AuthenticationV1().TokenReviews().Create(ctx, review(s.token), metav1.CreateOptions{})
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func review(token string) *authenticationv1.TokenReview {
	return &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// caller sends requests to a server as whoever holds a token.
type caller struct {
	client *http.Client
	url    string
}

func as(t testing.TB, server *testserver.Server, token string) caller {
	t.Helper()
	client, err := rest.HTTPClientFor(server.TokenConfig(token))
	if err != nil {
		t.Fatal(err)
	}
	return caller{client, server.URL}
}

// overHTTP1 is the same over HTTP/1.1: over HTTP/2 the generic chain ends the connection of a caller who is not known.
func overHTTP1(t testing.TB, server *testserver.Server, token string) caller {
	t.Helper()
	config := server.TokenConfig(token)
	config.NextProtos = []string{"http/1.1"}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return caller{client, server.URL}
}

// post sends a JSON body; headers are written "Name: value".
func (c caller) post(ctx context.Context, path, body string, headers ...string) (*answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Add(name, value)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return &answer{response.StatusCode, response.Header, string(text)}, nil
}

func (c caller) mustPost(t testing.TB, want int, path, body string, headers ...string) *answer {
	t.Helper()
	got, err := c.post(t.Context(), path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != want {
		t.Fatalf("%s: status %d, want %d", path, got.status, want)
	}
	return got
}

// series are the counters of the process, and how often its histograms were fed.
func series(t testing.TB) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += fmt.Sprintf(" %s=%q", label.GetName(), label.GetValue())
			}
			switch {
			case metric.GetCounter() != nil:
				all[name] = metric.GetCounter().GetValue()
			case metric.GetHistogram() != nil:
				all[name] = float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return all
}

// halfARequest sends a request without the end of its body, on a connection that stays open.
func halfARequest(t *testing.T, server *testserver.Server, token string) *answer {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.RootCAs)
	host := strings.TrimPrefix(server.URL, "https://")
	connection, err := tls.Dial("tcp", host, &tls.Config{RootCAs: roots, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	body := reviewOf("never-sent")
	_, err = fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		reviewsPath, host, token, len(body), body[:20])
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &answer{response.StatusCode, response.Header, string(text)}
}
