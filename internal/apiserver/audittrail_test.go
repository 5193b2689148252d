package apiserver_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	reviewsPath  = "/apis/authentication.k8s.io/v1/tokenreviews"
	extraKey     = "authentication.kubernetes.io/credential-id"
	presentedKey = "authentication.mintmark.io/credential-id"
	reviewedKey  = "authentication.mintmark.io/reviewed-credential-id"
	verdictKey   = "authentication.mintmark.io/verdict"
	userKey      = "authentication.mintmark.io/reviewed-user"
)

// audited is a server with an audit log at the level Metadata.
type audited struct {
	*testserver.Server
	t   *testing.T
	log string
}

func startAudited(t *testing.T, flags ...string) audited {
	t.Helper()
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return audited{testserver.Start(t, append(flags, "--audit-policy-file="+policy, "--audit-log-path="+log)...), t, log}
}

// post sends a body as the holder of a connection and returns the last event about it.
func (a audited) post(config *rest.Config, path, body, id string) (auditv1.Event, string) {
	a.t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		a.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.URL+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "Audit-Id": {id}}
	response, err := client.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.event(id), string(answer)
}

// event waits for the last event of a request: it is written after the answer.
func (a audited) event(id string) auditv1.Event {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(a.log)
		if err != nil {
			a.t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var event auditv1.Event
			if json.Unmarshal(line, &event) == nil && string(event.AuditID) == id && event.Stage != "RequestReceived" {
				return event
			}
		}
		select {
		case <-ctx.Done():
			a.t.Fatalf("no event of %s", id)
		case <-tick.C:
		}
	}
}

func hashOf(text string) string {
	hash := sha256.Sum256([]byte(text))
	return "SHA256=" + hex.EncodeToString(hash[:])
}

// withoutSignature is a JWT up to its second dot.
func withoutSignature(token string) string { return token[:strings.LastIndexByte(token, '.')] }

// planted are tokens of each kind that has credentials in the store, and what audit events say of them.
type planted struct{ token, id, user string }

func (a audited) plant() map[string]planted {
	a.t.Helper()
	admin := a.Caller(a.AdminConfig())
	admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts", Body: "metadata: {name: app}", Status: 201})
	issued, err := a.Admin().CoreV1().ServiceAccounts("default").CreateToken(a.t.Context(), "app", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	opaque := oauth.NewToken()
	name, _ := oauth.ObjectName(opaque)
	ada, _ := admin.Do("POST /apis/user.openshift.io/v1/users", "metadata: {name: ada}")
	uid := ada.(map[string]any)["metadata"].(map[string]any)["uid"].(string)
	admin.Run(
		testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterroles", Status: 201, Body: `
metadata: {name: reviewers}
rules: [{verbs: [create], apiGroups: [authentication.k8s.io], resources: [tokenreviews]}]`},
		testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", Status: 201, Body: `
metadata: {name: reviewers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reviewers}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}]`},
		testserver.Step{Request: "POST /api/v1/namespaces/kube-system/secrets", Status: 201, Body: `
metadata: {name: bootstrap-token-abcdef}
type: bootstrap.kubernetes.io/token
stringData: {token-id: abcdef, token-secret: 0123456789qrstuv, usage-bootstrap-authentication: "true"}`},
		testserver.Step{Request: "POST /apis/oauth.openshift.io/v1/oauthclients", Status: 201, Body: "metadata: {name: demo}\ngrantMethod: auto\nredirectURIs: ['https://demo.example']"},
		testserver.Step{Request: "POST /apis/oauth.openshift.io/v1/oauthaccesstokens", Status: 201, Body: `
{metadata: {name: ` + name + `}, clientName: demo, userName: ada, userUID: ` + uid + `, scopes: ["user:full"], redirectURI: "https://demo.example", expiresIn: 86400}`},
	)
	legacy := a.legacy()
	bound := issued.Status.Token
	const account = "system:serviceaccount:default:app"
	const bootstrap = "abcdef.0123456789qrstuv"
	return map[string]planted{
		"static":    {"static-token", "", "ann"},
		"bound":     {bound, jtiOf(a.t, bound), account},
		"legacy":    {legacy, hashOf(withoutSignature(legacy)), account},
		"bootstrap": {bootstrap, hashOf(bootstrap), "system:bootstrap:abcdef"},
		"opaque":    {opaque, hashOf(opaque), "ada"},
	}
}

// legacy has a controller put a token into a secret.
func (a audited) legacy() string {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	secrets := a.Admin().CoreV1().Secrets("default")
	changes, err := secrets.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	defer changes.Stop()
	_, err = secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "legacy", Annotations: map[string]string{corev1.ServiceAccountNameKey: "app"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	for change := range changes.ResultChan() {
		if now, ok := change.Object.(*corev1.Secret); ok && len(now.Data[corev1.ServiceAccountTokenKey]) > 0 {
			return string(now.Data[corev1.ServiceAccountTokenKey])
		}
	}
	a.t.Fatal("no token in the secret")
	return ""
}

// member is a member of a part of a JWT: its header is part 0, its claims are part 1.
func member(t *testing.T, token string, part int, name string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	value, _ := members[name].(string)
	return value
}

func jtiOf(t *testing.T, token string) string {
	t.Helper()
	return "JTI=" + member(t, token, 1, "jti")
}

// TestAuditNamesCredentials has holders of tokens of each kind send the token to be reviewed, through the fast path and
// through the generic chain. The events of both name the presented and the reviewed credential, and no token.
func TestAuditNamesCredentials(t *testing.T) {
	t.Parallel()
	tokens := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(tokens, []byte("static-token,ann,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := startAudited(t, "--openshift-api", "--enable-bootstrap-token-auth", "--token-auth-file="+tokens)
	for kind, one := range a.plant() {
		var annotations [2]map[string]string
		for i, transport := range []string{"", "?pretty=0"} {
			event, answer := a.post(a.TokenConfig(one.token), reviewsPath+transport, reviewOf(one.token), kind+transport)
			presented := event.Annotations[presentedKey]
			if extra := event.User.Extra[extraKey]; len(extra) == 1 && presented == "" {
				presented = extra[0]
			}
			if presented != one.id {
				t.Errorf("%s%s: presented %q, want %q", kind, transport, presented, one.id)
			}
			want := map[string]string{verdictKey: "Authenticated", reviewedKey: one.id, userKey: one.user}
			for name, value := range want {
				if got := event.Annotations[name]; got != value {
					t.Errorf("%s%s: %s is %q, want %q: %s", kind, transport, name, got, value, answer)
				}
			}
			annotations[i] = event.Annotations
		}
		if diff := cmp.Diff(annotations[0], annotations[1]); diff != "" {
			t.Errorf("%s: fast path -, generic chain +:\n%s", kind, diff)
		}
	}
	for _, transport := range []string{"", "?pretty=0"} {
		event, _ := a.post(a.AdminConfig(), reviewsPath+transport, reviewOf("static-token"), "certificate"+transport)
		if id := event.User.Extra[extraKey]; len(id) != 1 || !strings.HasPrefix(id[0], "X509SHA256=") || event.Annotations[presentedKey] != "" {
			t.Errorf("certificate%s: extra %v, annotations %v", transport, event.User.Extra, event.Annotations)
		}
	}
}

// TestAuditNamesRefused: the events of refused tokens have the id that the token claims, be it presented or reviewed, at each
// endpoint.
func TestAuditNamesRefused(t *testing.T) {
	t.Parallel()
	a := startAudited(t, "--controllers=", "--openshift-api")
	a.Caller(a.AdminConfig()).Run(testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts", Body: "metadata: {name: app}", Status: 201})
	issued, err := a.Admin().CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "app", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token := issued.Status.Token
	forged := token[:len(token)-20] + "AAAAAAAAAAAAAAAAAAAA"
	id := jtiOf(t, token)
	for i, path := range []string{
		reviewsPath, reviewsPath + "?pretty=0", "/authenticate", "/apis/oauth.openshift.io/v1/tokenreviews", "/apis/oauth.openshift.io/v1/tokenreviews?pretty=0",
	} {
		event, answer := a.post(a.AdminConfig(), path, reviewOf(forged), "reviewed"+path)
		if event.Annotations[verdictKey] != "Refused" || event.Annotations[reviewedKey] != id || event.Annotations[userKey] != "" {
			t.Errorf("%d: %s: %v %s", i, path, event.Annotations, answer)
		}
		event, answer = a.post(a.TokenConfig(forged), path, reviewOf(token), "presented"+path)
		if event.ResponseStatus.Code != http.StatusUnauthorized || event.Annotations[presentedKey] != id || event.Annotations[verdictKey] != "" {
			t.Errorf("%d: %s: %v %v %s", i, path, event.ResponseStatus, event.Annotations, answer)
		}
	}
	event, _ := a.post(a.AdminConfig(), reviewsPath, reviewOf("hunter2"), "password")
	if _, ok := event.Annotations[reviewedKey]; ok || event.Annotations[verdictKey] != "Refused" {
		t.Errorf("of an unknown text: %v", event.Annotations)
	}
}

func reviewOf(token string) string {
	return `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + token + `"}}`
}

// TestAuditTellsIssued: the event of a TokenRequest says all that the token says, through both transports.
func TestAuditTellsIssued(t *testing.T) {
	t.Parallel()
	a := startAudited(t, "--controllers=")
	admin := a.Caller(a.AdminConfig())
	account, _ := admin.Do("POST /api/v1/namespaces/default/serviceaccounts", "metadata: {name: app}")
	pod, status := admin.Do("POST /api/v1/namespaces/default/pods", "metadata: {name: app-0}\nspec: {serviceAccountName: app, nodeName: n1, containers: [{name: c, image: i}]}")
	if status != http.StatusCreated {
		t.Fatal(pod)
	}
	uid := func(object any) string { return object.(map[string]any)["metadata"].(map[string]any)["uid"].(string) }
	const path = "/api/v1/namespaces/default/serviceaccounts/app/token"
	bodies := []struct{ spec, boundTo string }{
		{`{"expirationSeconds":700}`, ""},
		{`{"audiences":["vault","a, \"b\" <c>"],"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"app-0"}}`, "Pod/app-0/" + uid(pod)},
	}
	for _, body := range bodies {
		for _, transport := range []string{"", "?pretty=0"} {
			id := body.boundTo + transport + "-id"
			event, answer := a.post(a.AdminConfig(), path+transport, `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":`+body.spec+`}`, id)
			var issued authenticationv1.TokenRequest
			if err := json.Unmarshal([]byte(answer), &issued); err != nil || issued.Status.Token == "" {
				t.Fatal(answer, err)
			}
			audiences, err := json.Marshal(issued.Spec.Audiences)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				"authentication.kubernetes.io/issued-credential-id": jtiOf(t, issued.Status.Token),
				"authentication.mintmark.io/service-account":        "default/app",
				"authentication.mintmark.io/service-account-uid":    uid(account),
				"authentication.mintmark.io/audiences":              string(audiences),
				"authentication.mintmark.io/bound-object":           body.boundTo,
				"authentication.mintmark.io/expires":                issued.Status.ExpirationTimestamp.UTC().Format(time.RFC3339),
				"authentication.mintmark.io/key-id":                 member(t, issued.Status.Token, 0, "kid"),
			} {
				if got := event.Annotations[name]; got != want {
					t.Errorf("%s%s: %s is %q, want %q", body.spec, transport, name, got, want)
				}
			}
		}
	}
}
