package apiserver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	oauthAPI     = "/apis/oauth.openshift.io/v1"
	accessTokens = oauthAPI + "/oauthaccesstokens"
	oauthReviews = "POST " + oauthAPI + "/tokenreviews"
	coreReviews  = "POST /apis/authentication.k8s.io/v1/tokenreviews"
	whoAmI       = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews"
)

// opaque is a server with OpenShift's API, ada, and a client that lets tokens idle for ten minutes.
type opaque struct {
	*testserver.Server
	t     *testing.T
	admin testserver.Caller
	uid   types.UID // of ada
}

func newOpaque(t *testing.T, flags ...string) opaque {
	t.Helper()
	o := joinOpaque(t, flags...)
	answer, status := o.admin.Do("POST /apis/user.openshift.io/v1/users", "{metadata: {name: ada}}")
	if status != 201 {
		t.Fatal(status, answer)
	}
	o.uid = uidOf(answer)
	o.admin.Run(testserver.Step{Request: "POST " + oauthAPI + "/oauthclients", Status: 201, Body: `
{metadata: {name: demo}, grantMethod: auto, redirectURIs: [https://demo.example/cb], accessTokenInactivityTimeoutSeconds: 600}`})
	return o
}

// joinOpaque is a server whose store may have ada and the client already.
func joinOpaque(t *testing.T, flags ...string) opaque {
	t.Helper()
	s := testserver.Start(t, append([]string{"--controllers=", "--openshift-api"}, flags...)...)
	return opaque{Server: s, t: t, admin: s.Caller(s.AdminConfig())}
}

func uidOf(answer any) types.UID {
	meta, _ := answer.(map[string]any)["metadata"].(map[string]any)
	uid, _ := meta["uid"].(string)
	return types.UID(uid)
}

// token makes a token of ada's, with further fields of its object.
func (o opaque) token(fields string) (token, name string) {
	o.t.Helper()
	token = oauth.NewToken()
	name, _ = oauth.ObjectName(token)
	o.admin.Run(testserver.Step{Request: "POST " + accessTokens, Status: 201, Body: fmt.Sprintf(`
{metadata: {name: %s}, clientName: demo, expiresIn: 86400, scopes: ["user:full"], redirectURI: https://demo.example/cb,
 userName: ada, userUID: %s, %s}`, name, o.uid, fields)})
	return token, name
}

// status is what a review says; the answer itself has the token in it.
func (o opaque) status(endpoint, token string) map[string]any {
	o.t.Helper()
	answer, code := o.admin.Do(endpoint, "{spec: {token: "+token+"}}")
	if code != 201 {
		o.t.Fatalf("%s: %d", endpoint, code)
	}
	status, _ := answer.(map[string]any)["status"].(map[string]any)
	return status
}

func (o opaque) good(endpoint, token string) bool {
	good, _ := o.status(endpoint, token)["authenticated"].(bool)
	return good
}

func (o opaque) as(token string) testserver.Caller {
	config := rest.AnonymousClientConfig(o.AdminConfig())
	config.BearerToken = token
	return o.Caller(config)
}

// idleAfter is the stored deadline of a token.
func (o opaque) idleAfter(name string) int {
	o.t.Helper()
	answer, code := o.admin.Do("GET "+accessTokens+"/"+name, "")
	if code != 200 {
		o.t.Fatalf("%d", code)
	}
	seconds, _ := answer.(map[string]any)["inactivityTimeoutSeconds"].(float64)
	return int(seconds)
}

// TestOpaqueTokenEnds: a token lets its user in everywhere until its delete has been acknowledged, and not a moment longer.
func TestOpaqueTokenEnds(t *testing.T) {
	t.Parallel()
	o := newOpaque(t)
	for range 20 {
		token, name := o.token("")
		o.as(token).Run(testserver.Step{Request: whoAmI, Body: "{}", Status: 201, Want: fmt.Sprintf(`
status: {userInfo: {username: ada, uid: %s, groups: ["system:authenticated:oauth", "system:authenticated"], extra: {scopes.authorization.openshift.io: ["user:full"]}}}`, o.uid)})
		if !o.good(oauthReviews, token) || !o.good(coreReviews, token) {
			t.Fatal("a good token is refused")
		}
		o.admin.Run(testserver.Step{Request: "DELETE " + accessTokens + "/" + name, Status: 200})
		if why := o.status(oauthReviews, token)["error"]; why != "token lookup failed" {
			t.Fatalf("after the delete: %v", why)
		}
		if why := o.status(coreReviews, token)["error"]; why != "[invalid bearer token, token lookup failed]" {
			t.Fatalf("after the delete: %v", why)
		}
		o.as(token).Run(testserver.Step{Request: whoAmI, Body: "{}", Status: 401})
	}
}

// TestOpaqueTokensAreNotServed: without the flag an opaque token is what any other text is.
func TestOpaqueTokensAreNotServed(t *testing.T) {
	t.Parallel()
	s := testserver.Start(t, "--controllers=")
	s.Caller(s.AdminConfig()).Run(
		testserver.Step{Request: coreReviews, Body: "{spec: {token: sha256~nope}}", Status: 201, Want: "status: {error: invalid bearer token}"},
	)
}

// TestSentStatusIsDroppedOfOpaqueReviews: nothing that a caller sent as a verdict comes back.
func TestSentStatusIsDroppedOfOpaqueReviews(t *testing.T) {
	t.Parallel()
	joinOpaque(t).admin.Run(testserver.Step{
		Request: oauthReviews, Status: 201,
		Body: `{spec: {token: sha256~nope}, status: {authenticated: true, user: {username: eve, groups: ["system:masters"]}, audiences: [x], error: mine}}`,
		Want: "status: {authenticated: null, user: {username: null, groups: null}, audiences: null, error: token lookup failed}",
	})
}

// TestOpaqueAudiences: a server that is told no audiences has its issuer's, at both endpoints.
func TestOpaqueAudiences(t *testing.T) {
	t.Parallel()
	o := newOpaque(t, "--service-account-issuer=https://tokens.example")
	token, _ := o.token("")
	for _, endpoint := range []string{oauthReviews, coreReviews} {
		if got := fmt.Sprint(o.status(endpoint, token)["audiences"]); got != "[https://tokens.example]" {
			t.Errorf("%s: audiences %s", endpoint, got)
		}
	}
}

// TestAsWebhookOfOpenShift: the endpoint is the token webhook of a kube-apiserver, which comes with the certificate that
// it has in OpenShift, and may do nothing else.
func TestAsWebhookOfOpenShift(t *testing.T) {
	t.Parallel()
	authority, dir := newAuthority(t, "clients"), t.TempDir()
	clientCA := filepath.Join(dir, "clients.crt")
	if err := os.WriteFile(clientCA, authority.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	const audience = "https://kubernetes.default.svc"
	o := newOpaque(t, "--client-ca-file="+clientCA, "--api-audiences="+audience)
	kubeAPIServer := authority.connection(o.Server, kubeAPIServerOfOpenShift)
	o.Caller(kubeAPIServer).Run(
		testserver.Step{Request: oauthReviews, Body: "{spec: {token: sha256~nope}}", Status: 201, Want: "status: {error: token lookup failed}"},
		testserver.Step{Request: "GET " + oauthAPI + "/tokenreviews", Status: 403},
		testserver.Step{Request: "POST " + oauthAPI + "/oauthclients", Body: "{metadata: {name: x}}", Status: 403},
		testserver.Step{Request: coreReviews, Body: "{spec: {token: x}}", Status: 403},
	)
	o.Caller(authority.connection(o.Server, "somebody")).Run(testserver.Step{Request: oauthReviews, Body: "{spec: {token: sha256~nope}}", Status: 403})

	file := filepath.Join(dir, "webhook.kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"w": {Server: o.URL + oauthAPI + "/tokenreviews", CertificateAuthorityData: o.RootCAs}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"w": {
			ClientCertificateData: kubeAPIServer.CertData, ClientKeyData: kubeAPIServer.KeyData,
		}},
		Contexts:       map[string]*clientcmdapi.Context{"w": {Cluster: "w", AuthInfo: "w"}},
		CurrentContext: "w",
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	front := testserver.Start(t, "--controllers=", "--api-audiences="+audience, "--authentication-token-webhook-config-file="+file,
		"--authentication-token-webhook-version=v1", "--authentication-token-webhook-cache-ttl=0s")
	token, name := o.token("")
	inFront := opaque{Server: front, t: t, admin: front.Caller(front.AdminConfig())}
	inFront.as(token).Run(testserver.Step{Request: whoAmI, Body: "{}", Status: 201, Want: fmt.Sprintf(`
status: {userInfo: {username: ada, uid: %s, groups: ["system:authenticated:oauth", "system:authenticated"], extra: {scopes.authorization.openshift.io: ["user:full"]}}}`, o.uid)})
	o.admin.Run(testserver.Step{Request: "DELETE " + accessTokens + "/" + name, Status: 200})
	inFront.as(token).Run(testserver.Step{Request: whoAmI, Body: "{}", Status: 401})
}

// sharedStore returns the flags by which servers share a store, and what stops the store.
func sharedStore(t *testing.T) (flags []string, stop func()) {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(member.Close)
	t.Cleanup(stop)
	key := filepath.Join(t.TempDir(), "key.pem")
	testserver.WriteSigningKey(t, key)
	return []string{"--etcd-servers=" + member.Endpoint(), "--service-account-issuer=https://tokens.example", "--service-account-signing-key-file=" + key}, stop
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for start := time.Now(); !so(); {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("not within 20 seconds: %s", what)
		}
	}
}

// TestOpaqueTokensOfTwoReplicas: a token is good at every replica from when it was made, ends at all of them, and lives on
// by use at any of them. What a server has only noted when it stops is written by then.
func TestOpaqueTokensOfTwoReplicas(t *testing.T) {
	t.Parallel()
	flags, _ := sharedStore(t)
	one := newOpaque(t, flags...)
	one.admin.Run(testserver.Step{Request: "POST /apis/user.openshift.io/v1/groups", Status: 201, Body: "{metadata: {name: crew}, users: [ada]}"})
	early, _ := one.token("")
	var noted string
	t.Run("while the other one runs", func(t *testing.T) {
		other := joinOpaque(t, flags...)
		user, _ := other.status(oauthReviews, early)["user"].(map[string]any)
		if got := fmt.Sprint(user["groups"]); got != "[crew system:authenticated:oauth]" {
			t.Errorf("groups in the first review: %s", got)
		}
		token, name := one.token("")
		if !other.good(oauthReviews, token) {
			t.Error("the other replica refuses a new token")
		}
		one.admin.Run(testserver.Step{Request: "DELETE " + accessTokens + "/" + name, Status: 200})
		eventually(t, "the other replica refuses a token that was deleted", func() bool { return !other.good(oauthReviews, token) })

		// Close to its deadline a use is written at once.
		token, name = one.token("inactivityTimeoutSeconds: 8")
		if !other.good(oauthReviews, token) {
			t.Error("the other replica refuses a token that was not idle")
		}
		eventually(t, "the use at the other replica is written", func() bool { return one.idleAfter(name) >= 600 })
		if after := one.idleAfter(name); after > 620 {
			t.Errorf("it may idle until %d", after)
		}
		// Far from its deadline it is noted.
		token, noted = one.token("inactivityTimeoutSeconds: 500")
		if !other.good(oauthReviews, token) || one.idleAfter(noted) != 500 {
			t.Errorf("the deadline has moved to %d at once", one.idleAfter(noted))
		}
	})
	if after := one.idleAfter(noted); after < 600 {
		t.Errorf("the other one stopped, and the token may still idle only until %d", after)
	}
}

// TestReviewWithoutStore: a store that is down is a failure, told soon, and no refusal.
func TestReviewWithoutStore(t *testing.T) {
	t.Parallel()
	flags, stop := sharedStore(t)
	o := newOpaque(t, flags...)
	token, _ := o.token("")
	stop()
	if !o.good(oauthReviews, token) {
		t.Error("memory knows the token, and it is refused")
	}
	for _, endpoint := range []string{oauthReviews, coreReviews} {
		start := time.Now()
		answer, status := o.admin.Do(endpoint, "{spec: {token: sha256~nope}}")
		if status != 503 || !strings.Contains(fmt.Sprint(answer), "the stored oauthaccesstokens could not be read") {
			t.Errorf("%s: %d %v", endpoint, status, answer)
		}
		if waited := time.Since(start); waited > 9*time.Second {
			t.Errorf("%s: after %s", endpoint, waited)
		}
	}
	// A caller is told the same, whichever way the request goes.
	for _, request := range []string{whoAmI, coreReviews, oauthReviews, "GET /api/v1/pods", "GET /healthz"} {
		o.as("sha256~nope").Run(testserver.Step{
			Request: request, Body: "{spec: {token: x}}", Status: 503,
			Want: "{kind: Status, reason: ServiceUnavailable, message: the stored oauthaccesstokens could not be read, details: {retryAfterSeconds: 1}}",
		})
	}
}
