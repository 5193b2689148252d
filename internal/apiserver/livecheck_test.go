package apiserver_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	trustedIssuersPath = "/apis/mintmark.io/v1alpha1/trustedissuers"
	secretsPath        = "/api/v1/namespaces/kube-system/secrets"
)

// cluster is a server as the cluster whose tokens others review.
type cluster struct {
	*testserver.Server
	t *testing.T
}

// token makes an account, and returns a token of it.
func (c cluster) token(name string, audiences ...string) string {
	c.t.Helper()
	accounts := c.Admin().CoreV1().ServiceAccounts("default")
	if _, err := accounts.Create(c.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	request, err := accounts.CreateToken(c.t.Context(), name, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return request.Status.Token
}

// reviewer makes an account that may review tokens, and returns a token of it.
func (c cluster) reviewer(name string) string {
	c.t.Helper()
	credential := c.token(name)
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: name}},
	}
	if _, err := c.Admin().RbacV1().ClusterRoleBindings().Create(c.t.Context(), binding, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	return credential
}

// kubeconfig returns the kubeconfig of a token.
func (c cluster) kubeconfig(token string) string {
	return `{apiVersion: v1, kind: Config, contexts: [{name: c, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: '` + c.URL +
		`', certificate-authority-data: ` + base64.StdEncoding.EncodeToString(c.RootCAs) + `}}], users: [{name: u, user: {token: ` + token + `}}]}`
}

// failingCluster is a cluster that answers with an error, and the number of its answers.
func failingCluster(t *testing.T) (cluster, *atomic.Int32) {
	t.Helper()
	calls := &atomic.Int32{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return cluster{&testserver.Server{URL: server.URL, RootCAs: authority}, t}, calls
}

// issuer is a TrustedIssuer for the tokens of a cluster whose keys are read there, with more fields.
func (c cluster) issuer(name, more string) string {
	authority, _ := json.Marshal(string(c.RootCAs))
	return c.inlineIssuer(name, fmt.Sprintf(", certificateAuthority: %s%s", authority, more))
}

// inlineIssuer is a TrustedIssuer for the tokens of a cluster, with more fields, of which jwks is one.
func (c cluster) inlineIssuer(name, more string) string {
	return fmt.Sprintf("{apiVersion: mintmark.io/v1alpha1, kind: TrustedIssuer, metadata: {name: %s}, spec: {url: '%s', audiences: [vault], kubernetes: {prefix: 'east:'}%s}}", name, c.URL, more)
}

// secret is a secret with a kubeconfig.
func secret(name, kubeconfig string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: %s}, data: {kubeconfig: %s}}", name, base64.StdEncoding.EncodeToString([]byte(kubeconfig)))
}

// reviewStep reviews a token for the audience vault.
func reviewStep(token string, status int, want string) testserver.Step {
	return testserver.Step{
		Request: "POST /apis/authentication.k8s.io/v1/tokenreviews", Status: status, Want: want,
		Body: fmt.Sprintf("{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: %s, audiences: [vault]}}", token),
	}
}

// liveCheckOf returns the reason of the explanation of a token, and what the check of that name found.
func liveCheckOf(t *testing.T, admin testserver.Caller, token, name string) (why, found string) {
	t.Helper()
	answer, _ := admin.Do("POST "+explanationsPath, fmt.Sprintf("{apiVersion: mintmark.io/v1alpha1, kind: TokenExplanation, spec: {token: %s, audiences: [vault]}}", token))
	text, _ := yaml.Marshal(answer)
	var explanation v1alpha1.TokenExplanation
	if err := yaml.Unmarshal(text, &explanation); err != nil {
		t.Fatal(err)
	}
	for _, check := range explanation.Status.Checks {
		if check.Name == name {
			found = check.Found
		}
	}
	return explanation.Status.Reason, found + explanation.Status.Error
}

// TestLiveCheck: two servers, of which one is the cluster whose tokens the other reviews. What ends in the cluster ends at the reviewer
// as soon as the bound of staleness says, and what the cluster does not answer gets no verdict.
func TestLiveCheck(t *testing.T) {
	t.Parallel()
	east := cluster{testserver.Start(t, "--controllers="), t}
	here := testserver.Start(t, "--allow-private-issuers=127.0.0.0/8")
	admin := here.Caller(here.AdminConfig())
	const checked = ", liveCheck: {kubeconfigSecret: {namespace: kube-system, name: east}, maxStaleness: 0s%s}"
	app, other, kubeconfig := east.token("app", "vault"), east.token("other", "vault"), east.kubeconfig(east.reviewer("reviewer"))
	accepted := "{status: {authenticated: true, audiences: [vault], user: {username: 'east:system:serviceaccount:default:%s'}}}"
	const noAnswer = `{reason: ServiceUnavailable, details: {retryAfterSeconds: 1}, message: 'the cluster of the trusted issuer "east" does not answer whether the token still counts'}`

	// Without the secret there is no verdict. With it there is one at once.
	admin.Run(
		testserver.Step{Request: "POST " + trustedIssuersPath, Status: 201, Body: east.issuer("east", fmt.Sprintf(checked, ""))},
		reviewStep(app, 503, `{message: 'the cluster of the trusted issuer "east" can''t be asked about the token, since its kubeconfig is missing or can''t be used'}`),
	)
	if why, found := liveCheckOf(t, admin, app, "liveCheck"); why != "LiveCheckNotSetUp" || !strings.Contains(found, "the secret kube-system/east does not exist") {
		t.Errorf("%s: %s", why, found)
	}
	admin.Run(
		testserver.Step{Request: "POST " + secretsPath, Status: 201, Body: secret("east", kubeconfig)},
		reviewStep(app, 201, fmt.Sprintf(accepted, "app")),
		reviewStep(other, 201, fmt.Sprintf(accepted, "other")),
	)
	if why, found := liveCheckOf(t, admin, app, "liveCheck"); why != "Accepted" || !strings.Contains(found, "confirmed, asked ") {
		t.Errorf("%s: %s", why, found)
	}
	// The condition is the controller's.
	waitForCondition(t, here, v1alpha1.TrustedIssuerLiveCheckAvailable, metav1.ConditionTrue)

	// An account that is deleted in the cluster is refused in the next review.
	if err := east.Admin().CoreV1().ServiceAccounts("default").Delete(t.Context(), "other", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	admin.Run(reviewStep(other, 201, `{status: {authenticated: null, error: '[invalid bearer token, the token''s cluster refuses it: [invalid bearer token, serviceaccounts "other" not found]]'}}`))
	if why, found := liveCheckOf(t, admin, other, "liveCheck"); why != "LiveCheckRefused" || !strings.Contains(found, `serviceaccounts "other" not found`) {
		t.Errorf("%s: %s", why, found)
	}

	// A change of the secret counts at once.
	admin.Run(
		testserver.Step{Request: "PUT " + secretsPath + "/east", Status: 200, Body: secret("east", strings.Replace(kubeconfig, "token: ", "token: x", 1))},
		reviewStep(app, 503, noAnswer),
		testserver.Step{Request: "PUT " + secretsPath + "/east", Status: 200, Body: secret("east", kubeconfig)},
		reviewStep(app, 201, fmt.Sprintf(accepted, "app")),
	)

	// A cluster that fails is called once for a review, though two handlers look at it.
	standin, calls := failingCluster(t)
	admin.Run(
		testserver.Step{Request: "PUT " + secretsPath + "/east", Status: 200, Body: secret("east", standin.kubeconfig("credential"))},
		reviewStep(app, 503, noAnswer),
	)
	if n := calls.Load(); n != 1 {
		t.Errorf("the cluster was called %d times", n)
	}
	admin.Run(testserver.Step{Request: "PUT " + secretsPath + "/east", Status: 200, Body: secret("east", kubeconfig)})

	// A cluster that is away: no verdict, or a yes where the object says so.
	if err := east.Stop(); err != nil {
		t.Fatal(err)
	}
	admin.Run(reviewStep(app, 503, noAnswer))
	if why, found := liveCheckOf(t, admin, app, "liveCheck"); why != "LiveCheckUnavailable" || !strings.Contains(found, "connection refused") {
		t.Errorf("%s: %s", why, found)
	}
	merge := "Content-Type: application/merge-patch+json"
	admin.Run(
		testserver.Step{Request: "PATCH " + trustedIssuersPath + "/east", Headers: []string{merge}, Status: 200, Body: "{spec: {liveCheck: {onFailure: Accept}}}"},
		reviewStep(app, 201, fmt.Sprintf(accepted, "app")),
		testserver.Step{Request: "PATCH " + trustedIssuersPath + "/east", Headers: []string{merge}, Status: 200, Body: "{spec: {liveCheck: {onFailure: Refuse}}}"},
		reviewStep(app, 503, noAnswer),
		testserver.Step{Request: "PATCH " + trustedIssuersPath + "/east", Headers: []string{merge}, Status: 200, Body: "{spec: {liveCheck: null}}"},
		reviewStep(app, 201, fmt.Sprintf(accepted, "app")),
	)
}

// waitForCondition waits until a TrustedIssuer has a condition with a status, and returns its message.
func waitForCondition(t *testing.T, server *testserver.Server, condition string, status metav1.ConditionStatus) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, err := server.Admin().CoreV1().RESTClient().Get().AbsPath(trustedIssuersPath).Param("watch", "true").Stream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	for lines := json.NewDecoder(events); ; {
		var event struct{ Object v1alpha1.TrustedIssuer }
		if err := lines.Decode(&event); err != nil {
			t.Fatalf("no TrustedIssuer had %s=%s: %v", condition, status, err)
		}
		if found := meta.FindStatusCondition(event.Object.Status.Conditions, condition); found != nil && found.Status == status {
			return found.Message
		}
	}
}

// TestPrivateIssuers: a TrustedIssuer on loopback is not called, neither for its keys nor for a live check, and the object and the
// explanation say what to do. The flag that opens it is in TestLiveCheck.
func TestPrivateIssuers(t *testing.T) {
	t.Parallel()
	east := cluster{testserver.Start(t, "--controllers="), t}
	here := testserver.Start(t)
	admin := here.Caller(here.AdminConfig())
	token, kubeconfig := east.token("app", "vault"), east.kubeconfig(east.reviewer("reviewer"))
	const meant = "the address 127.0.0.1 is loopback: name it in --allow-private-issuers if it is meant"
	admin.Run(
		testserver.Step{Request: "POST " + trustedIssuersPath, Status: 201, Body: east.issuer("east", "")},
		reviewStep(token, 201, "{status: {authenticated: null}}"),
	)
	if message := waitForCondition(t, here, v1alpha1.TrustedIssuerKeysRead, metav1.ConditionFalse); !strings.Contains(message, meant) {
		t.Error(message)
	}
	keys, status := east.Caller(east.AdminConfig()).Do("GET /openid/v1/jwks", "")
	set, _ := json.Marshal(keys)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	admin.Run(
		testserver.Step{Request: "DELETE " + trustedIssuersPath + "/east", Status: 200},
		testserver.Step{Request: "POST " + secretsPath, Status: 201, Body: secret("east", kubeconfig)},
		testserver.Step{
			Request: "POST " + trustedIssuersPath, Status: 201,
			Body: east.inlineIssuer("east", ", jwks: '"+string(set)+"', liveCheck: {kubeconfigSecret: {namespace: kube-system, name: east}}"),
		},
		reviewStep(token, 503, ""),
	)
	if why, found := liveCheckOf(t, admin, token, "liveCheck"); why != "LiveCheckUnavailable" || !strings.Contains(found, meant) {
		t.Errorf("%s: %s", why, found)
	}
}
