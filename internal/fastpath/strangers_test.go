package fastpath_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/testserver"
)

// storeReads is how often this process has read single objects from etcd, of a resource or, without one, of any.
func storeReads(t *testing.T, resource string) (reads int) {
	t.Helper()
	for name, value := range series(t) {
		if strings.HasPrefix(name, "etcd_request_duration_seconds ") && strings.Contains(name, `operation="get"`) &&
			(resource == "" || strings.Contains(name, fmt.Sprintf("resource=%q", resource))) {
			reads += int(value)
		}
	}
	return reads
}

// strangerDoors are ways to present a token: by the fast path, which hands a refused caller over, past it, and where only the
// generic chain answers.
var strangerDoors = map[string][]string{
	"fast path":     {"POST " + reviewsPath},
	"a query":       {"POST " + reviewsPath + "?pretty=true"},
	"curl":          {"POST " + reviewsPath, "User-Agent: curl/8"},
	"generic chain": {"GET /api/v1/namespaces"},
}

// TestStrangersHardlyRead counts the reads from etcd that a token costs which is nobody's, the first time that it comes
// through a door and the second time.
func TestStrangersHardlyRead(t *testing.T) { // not beside others: the metrics are the process's
	server := testserver.Start(t, "--controllers=", "--openshift-api", "--enable-bootstrap-token-auth")
	deletedAccount, deletedPod := endedTokens(t, server)
	_, err := server.Admin().CoreV1().Secrets("kube-system").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	server.Caller(server.TokenConfig("abcdef.0123456789abcdef")).Run(testserver.Step{Request: "GET /api", Status: 200})
	for _, test := range []struct {
		kind, token   string
		first, second int // at the first door of all, and from then on
	}{
		{"a made-up opaque token", "sha256~made-up", 1, 1},
		{"the token of an account that is gone", deletedAccount, 1, 0},
		{"the token of a pod that is gone", deletedPod, 1, 0},
		{"a guess at a bootstrap token", "abcdef.fedcba9876543210", 1, 1},
		{"an unknown bootstrap token", "aaaaaa.fedcba9876543210", 1, 1},
		{"a text", "made-up", 0, 0},
		{"three texts", "made.up.token", 0, 0},
	} {
		caller, limit := server.Caller(server.TokenConfig(test.token)), test.first
		for door, request := range strangerDoors {
			for range 2 {
				before := storeReads(t, "")
				if _, status := caller.Do(request[0], "{spec: {token: x}}", request[1:]...); status != http.StatusUnauthorized {
					t.Errorf("%s, %s: status %d", test.kind, door, status)
				}
				if reads := storeReads(t, "") - before; reads > limit {
					t.Errorf("%s, %s: %d reads, want %d", test.kind, door, reads, limit)
				}
				limit = test.second
			}
		}
	}
}

// endedTokens returns a token of an account that has been deleted, and one of a pod that has.
func endedTokens(t *testing.T, server *testserver.Server) (ofAccount, ofPod string) {
	t.Helper()
	admin, ctx := server.Admin().CoreV1(), t.Context()
	pod := podWithToken(t, server.Admin(), "web", "n1")
	issue := func(ref *authenticationv1.BoundObjectReference) string {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: ref}}
		issued, err := admin.ServiceAccounts("default").CreateToken(ctx, "app", request, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return issued.Status.Token
	}
	ofAccount, ofPod = issue(nil), issue(&authenticationv1.BoundObjectReference{Kind: "Pod", Name: pod.Name, UID: pod.UID})
	now := metav1.DeleteOptions{GracePeriodSeconds: new(int64)}
	if err := admin.Pods("default").Delete(ctx, pod.Name, now); err != nil {
		t.Fatal(err)
	}
	server.Caller(server.TokenConfig(ofPod)).Run(testserver.Step{Request: "GET /api", Status: 401})
	if err := admin.ServiceAccounts("default").Delete(ctx, "app", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return ofAccount, ofPod
}

// TestFloodOfStrangers: made-up tokens, however many, cost etcd a bounded number of reads and are refused or told that
// there is no verdict. Meanwhile a token that another replica issues is good here at once.
func TestFloodOfStrangers(t *testing.T) { // not beside others: the metrics are the process's
	s := start(t, nil, "--openshift-api")
	issuer := s.generic.Caller(s.generic.AdminConfig())
	issuer.Run(
		testserver.Step{Request: "POST /apis/user.openshift.io/v1/users", Body: "metadata: {name: ada}", Status: 201},
		testserver.Step{Request: "POST /apis/oauth.openshift.io/v1/oauthclients", Body: "{metadata: {name: demo}, grantMethod: auto}", Status: 201},
	)
	ada, _ := issuer.Do("GET /apis/user.openshift.io/v1/users/ada", "")
	uid := ada.(map[string]any)["metadata"].(map[string]any)["uid"]

	const tokens = "oauthaccesstokens"
	before, began, strangers := storeReads(t, tokens), time.Now(), overHTTP1(t, s.fast, "")
	ctx, stop := context.WithCancel(t.Context())
	statuses := make([]map[int]int, 64)
	var flood sync.WaitGroup
	for n := range statuses {
		statuses[n] = map[int]int{}
		flood.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				got, err := strangers.post(ctx, reviewsPath, reviewOf("x"), fmt.Sprintf("Authorization: Bearer sha256~made-up-%d-%d", n, i))
				if err == nil {
					statuses[n][got.status]++
				}
			}
		})
	}
	for time.Since(began) < 5*time.Second { // past the burst
		token := oauth.NewToken()
		name, _ := oauth.ObjectName(token)
		issuer.Run(testserver.Step{Request: "POST /apis/oauth.openshift.io/v1/oauthaccesstokens", Status: 201, Body: fmt.Sprintf(
			`{metadata: {name: %s}, clientName: demo, expiresIn: 86400, scopes: ["user:full"], redirectURI: https://demo.example/cb, userName: ada, userUID: %v}`, name, uid)})
		s.fast.Caller(s.fast.TokenConfig(token)).Run(testserver.Step{
			Request: "POST /apis/authentication.k8s.io/v1/selfsubjectreviews", Body: "{}", Status: 201, Want: "status: {userInfo: {username: ada}}",
		})
	}
	stop()
	flood.Wait()
	const burst, perSecond = 100, 50
	reads, limit := storeReads(t, tokens)-before, burst+perSecond*int(time.Since(began).Seconds()+1)
	total := 0
	for _, counted := range statuses {
		for status, times := range counted {
			total += times
			if status != http.StatusUnauthorized && status != http.StatusServiceUnavailable {
				t.Errorf("status %d for a made-up token", status)
			}
		}
	}
	if reads > limit || total < limit {
		t.Errorf("%d reads for %d requests, want at most %d, and more requests than that", reads, total, limit)
	}
}
