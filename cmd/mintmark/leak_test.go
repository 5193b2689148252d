package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mintmark/mintmark/internal/oauth"
)

// window is how much of a token in a row counts as a part of it. Less may be there by chance.
const window = 12

// TestNoTokenLeaks runs the program as talkative as it can be, shows it tokens of every kind in every way, and looks for
// them, and for parts of them, in logs, audit records, metrics and the bodies of errors (CVE-2019-11250, CVE-2020-8565,
// CVE-2025-7445).
func TestNoTokenLeaks(t *testing.T) {
	t.Parallel()
	l := newLeaks(t)
	tokens := l.plant()
	clusters := l.plantLiveChecks(tokens)
	for _, token := range tokens {
		l.use(token)
	}
	for _, name := range clusters {
		l.useLiveCheck(tokens[name])
	}
	l.checkLiveChecks()
	for _, token := range tokens {
		l.revoke(token)
	}
	l.collect(http.MethodGet, "/metrics", "", nil, l.admin, true)
	l.stop()
	audit, err := os.ReadFile(l.auditLog)
	if err != nil || !bytes.Contains(audit, []byte(`"resource":"tokenreviews"`)) {
		t.Fatalf("no audit records of reviews: %v", err)
	}
	if !strings.Contains(l.logs.String(), "httplog.go") {
		t.Fatal("the log says nothing of requests: it is not talkative enough to be tested")
	}
	for place, text := range map[string]string{"log": l.logs.String(), "audit log": string(audit), "answers": l.answers.String()} {
		for name, token := range tokens {
			for _, form := range []string{token, base64.StdEncoding.EncodeToString([]byte(token)), hex.EncodeToString([]byte(token))} {
				if at := findPart(text, form); at >= 0 {
					t.Errorf("part of the %s token in the %s: …%s…", name, place, text[max(0, at-200):min(len(text), at+60)])
				}
			}
		}
	}
}

// findPart returns where a part of a token is in a text, or -1.
func findPart(text, token string) int {
	parts := map[string]bool{}
	for i := 0; i+window <= len(token); i++ {
		parts[token[i:i+window]] = true
	}
	for i := 0; i+window <= len(text); i++ {
		if parts[text[i:i+window]] {
			return i
		}
	}
	return -1
}

func TestFindPart(t *testing.T) {
	for text, want := range map[string]int{"": -1, "abcdefghijk": -1, "--cdefghijklmn--": 2, "abcdefghijkxlmnopqrstuvwx": -1} {
		if got := findPart(text, "abcdefghijklmnop"); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// leaks is a running program and what came out of it.
type leaks struct {
	t        *testing.T
	url      string
	auditLog string
	config   *rest.Config
	client   kubernetes.Interface
	admin    *http.Client // with the administrator's certificate
	nobody   *http.Client
	logs     lockedBuffer
	answers  lockedBuffer
	stop     func()
}

// lockedBuffer is a buffer that several write to.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

const (
	staticToken  = "static-4f1c0b6e9a7d4c52"
	goodRemote   = "remote-0d9e1b77c3a84f60"
	badRemote    = "refused-5b2af0c4d1e34978"
	brokenRemote = "broken-83c1d7e2f5a94b06"
	bootstrap    = "abcdef.0123456789qrstuv"
)

func newLeaks(t *testing.T) *leaks {
	t.Helper()
	dir := t.TempDir()
	l := &leaks{t: t, auditLog: filepath.Join(dir, "audit.log")}
	webhook := httptest.NewServer(http.HandlerFunc(talkativeWebhook))
	t.Cleanup(webhook.Close)
	for name, text := range map[string]string{
		"tokens.csv":  staticToken + ",ann,ann-uid\n",
		"policy.yaml": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: RequestResponse}]\n",
		"webhook.kubeconfig": "apiVersion: v1\nkind: Config\nclusters: [{name: w, cluster: {server: '" + webhook.URL + "'}}]\n" +
			"contexts: [{name: w, context: {cluster: w}}]\ncurrent-context: w\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	program := exec.CommandContext(context.Background(), "mintmark", "serve", "-v=10", "--data-dir="+data, "--secure-port=0", "--allow-private-issuers=127.0.0.0/8",
		"--token-auth-file="+filepath.Join(dir, "tokens.csv"), "--enable-bootstrap-token-auth", "--openshift-api",
		"--audit-policy-file="+filepath.Join(dir, "policy.yaml"), "--audit-log-path="+l.auditLog,
		"--authentication-token-webhook-config-file="+filepath.Join(dir, "webhook.kubeconfig"), "--authentication-token-webhook-version=v1")
	program.Stdout, program.Stderr = &l.logs, &l.logs
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	l.stop = sync.OnceFunc(func() {
		_ = program.Process.Signal(os.Interrupt) // it may have ended by itself
		_ = program.Wait()                       // what it says is in the log
	})
	t.Cleanup(l.stop)
	kubeconfig := filepath.Join(data, "admin.kubeconfig")
	if !awaitReady(t.Context(), kubeconfig) {
		t.Fatalf("no server: %s", l.logs.String())
	}
	l.connect(kubeconfig)
	return l
}

// filled waits until the controller has put a token into a secret, and returns it.
func (l *leaks) filled(secret string) (token string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), startTimeout)
	defer cancel()
	changes, err := l.client.CoreV1().Secrets("default").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + secret})
	if err != nil {
		l.t.Fatal(err)
	}
	defer changes.Stop()
	for change := range changes.ResultChan() {
		if now, ok := change.Object.(*corev1.Secret); ok && len(now.Data[corev1.ServiceAccountTokenKey]) > 0 {
			return string(now.Data[corev1.ServiceAccountTokenKey])
		}
	}
	l.t.Fatal("no token in the secret")
	return ""
}

func (l *leaks) connect(kubeconfig string) {
	l.t.Helper()
	var err error
	if l.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		l.t.Fatal(err)
	}
	if l.client, err = kubernetes.NewForConfig(l.config); err != nil {
		l.t.Fatal(err)
	}
	if l.admin, err = rest.HTTPClientFor(l.config); err != nil {
		l.t.Fatal(err)
	}
	if l.nobody, err = rest.HTTPClientFor(rest.AnonymousClientConfig(l.config)); err != nil {
		l.t.Fatal(err)
	}
	l.url = l.config.Host
}

// talkativeWebhook repeats the token in all that it says.
func talkativeWebhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	status := `"error": "I don't know ` + badRemote + `"`
	switch {
	case bytes.Contains(body, []byte(goodRemote)):
		status = `"authenticated": true, "user": {"username": "remote"}`
	case bytes.Contains(body, []byte(brokenRemote)):
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 400, "reason": "BadRequest", "message": "bad: %s"}`, brokenRemote)
		return
	case !bytes.Contains(body, []byte(badRemote)):
		status = `"authenticated": false`
	}
	_, _ = fmt.Fprintf(w, `{"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": "x"}, "status": {%s}}`, status)
}

// plant makes tokens of every kind.
func (l *leaks) plant() map[string]string {
	l.t.Helper()
	ctx, core := l.t.Context(), l.client.CoreV1()
	_, err := core.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	request, err := core.ServiceAccounts("default").CreateToken(ctx, "app", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	_, err = core.Secrets("kube-system").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"},
		Type:       "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"token-id": bootstrap[:6], "token-secret": bootstrap[7:], "usage-bootstrap-authentication": "true"},
	}, metav1.CreateOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	_, err = core.Secrets("default").Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "app-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "app"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	legacy := l.filled("app-token")
	bound := request.Status.Token
	opaque := l.plantOpaque()
	return map[string]string{
		"opaque": opaque, "opaque and unknown": oauth.NewToken(), "opaque, with a wrong end": opaque[:len(opaque)-4] + "AAAA",
		"static": staticToken, "bootstrap": bootstrap, "bound": bound, "legacy": legacy,
		"webhook's": goodRemote, "webhook's refused": badRemote, "webhook's broken": brokenRemote,
		"forged":      bound[:len(bound)-20] + "AAAAAAAAAAAAAAAAAAAA",
		"other's":     "eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://other.example","sub":"planted"}`)) + ".c2lnbmF0dXJlLW9mLW90aGVycw",
		"unknown key": "eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ." + strings.Split(bound, ".")[1] + "." + strings.Split(bound, ".")[2],
	}
}

// plantOpaque makes a token of OpenShift's, which is used so close to the end of its idleness that this is written at
// once.
func (l *leaks) plantOpaque() string {
	l.t.Helper()
	token := oauth.NewToken()
	name, _ := oauth.ObjectName(token)
	client := l.client.Discovery().RESTClient()
	post := func(path, body string) []byte {
		answer, err := client.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(l.t.Context()).Raw()
		if err != nil {
			l.t.Fatal(path, err)
		}
		return answer
	}
	var user metav1.PartialObjectMetadata
	if err := json.Unmarshal(post("/apis/user.openshift.io/v1/users", `{"metadata":{"name":"ada"}}`), &user); err != nil {
		l.t.Fatal(err)
	}
	const api = "/apis/oauth.openshift.io/v1/"
	post(api+"oauthclients", `{"metadata":{"name":"demo"},"grantMethod":"auto","redirectURIs":["https://demo.example/cb"],"accessTokenInactivityTimeoutSeconds":600}`)
	post(api+"oauthaccesstokens", `{"metadata":{"name":"`+name+`"},"clientName":"demo","expiresIn":86400,"scopes":["user:full"],
		"redirectURI":"https://demo.example/cb","userName":"ada","userUID":"`+string(user.UID)+`","inactivityTimeoutSeconds":60}`)
	return token
}

// use shows the program a token in every way that there is.
func (l *leaks) use(token string) {
	whoami := `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}`
	const json, reviews, webhook = "application/json", "/apis/authentication.k8s.io/v1/tokenreviews", "/authenticate"
	const opaque = "/apis/oauth.openshift.io/v1/tokenreviews"
	l.collect(http.MethodPost, "/apis/authentication.k8s.io/v1/selfsubjectreviews", whoami, http.Header{"Content-Type": {json}, "Authorization": {"Bearer " + token}}, l.nobody, true)
	l.collect(http.MethodGet, "/api/v1/secrets?watch=true", "", http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-WebSocket-Protocol": {"base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(token)) + ", v1"},
	}, l.nobody, true)
	for _, version := range []string{"v1", "v1beta1"} {
		good := `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/` + version + `","spec":{"token":"` + token + `"}}`
		l.collect(http.MethodPost, webhook, good, http.Header{"Content-Type": {json}}, l.admin, true)
		l.collect(http.MethodPost, webhook, good, http.Header{"Content-Type": {json}}, l.nobody, true)
		l.collect(http.MethodPost, reviews, good, http.Header{"Content-Type": {json}}, l.nobody, true)
		l.collect(http.MethodPost, opaque, good, http.Header{"Content-Type": {json}}, l.nobody, true)
	}
	review := `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":`
	for _, path := range []string{reviews, opaque} {
		l.collect(http.MethodPost, path, review+`{"token":"`+token+`"}}`, http.Header{"Content-Type": {json}}, l.admin, false)
	}
	for _, body := range []string{
		token, `"` + token + `"`, review + `{"token":"` + token + `"}`, review + `"` + token + `"}`, review + `{"token":["` + token + `"]}}`,
		review + `{"token":{"` + token + `":1}}}`, review + `{"token":"` + token + `","audiences":"` + token + `"}}`,
	} {
		for _, contentType := range []string{json, "application/yaml", "application/vnd.kubernetes.protobuf", "text/plain"} {
			for _, path := range []string{reviews, webhook, opaque, reviews + "?fieldValidation=Strict"} {
				l.collect(http.MethodPost, path, body, http.Header{"Content-Type": {contentType}}, l.admin, true)
			}
		}
	}
}

// revoke takes a token back in every way, of which none repeats it.
func (l *leaks) revoke(token string) {
	l.t.Helper()
	const path = "/apis/mintmark.io/v1alpha1/tokenrevocations"
	body := `{"apiVersion": "mintmark.io/v1alpha1", "kind": "TokenRevocation", "metadata": {"generateName": "r-"}, "spec": {"token": "` + token + `"}}`
	asJSON := http.Header{"Content-Type": {"application/json"}}
	for _, query := range []string{"?dryRun=All", "?fieldManager=m", "?fieldValidation=Strict"} {
		l.collect(http.MethodPost, path+query, body, asJSON, l.admin, true)
	}
	l.collect(http.MethodPost, path, strings.ReplaceAll(body, "r-", token), asJSON, l.admin, true)
	l.collect(http.MethodPost, path, strings.ReplaceAll(body, `"token"`, `"reason": "`+token+`", "token"`), asJSON, l.admin, true)
	l.collect(http.MethodPost, path, body, http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}, l.nobody, true)
	l.collect(http.MethodPost, "/oauth/revoke", url.Values{"token": {token}}.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, l.nobody, true)
	l.collect(http.MethodGet, path, "", nil, l.admin, true)
}

// collect makes a request and keeps the answer. One that is a success may hold the token that was sent; others, and
// those which must not either, are searched.
func (l *leaks) collect(method, path, body string, header http.Header, client *http.Client, always bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, l.url+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := client.Do(request)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil && response.StatusCode < http.StatusBadRequest {
		l.t.Log(err) // a watch that was cut off
	}
	if always || response.StatusCode >= http.StatusBadRequest {
		_, _ = fmt.Fprintln(&l.answers, method, path, response.StatusCode, string(text))
	}
}
