package apiserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

// verdictLimit is when each review has been answered, store or not, on a busy machine. A reviewer waits ten seconds.
const verdictLimit = 8 * time.Second

// reviewDoors are the ways of a review: the fast path, and past it.
var reviewDoors = map[string]string{
	"fast path":     "/apis/authentication.k8s.io/v1/tokenreviews",
	"generic chain": "/apis/authentication.k8s.io/v1/tokenreviews?fieldManager=test",
}

// hungReview is how a review was answered.
type hungReview struct {
	kind, door string
	status     int
	good       bool
	took       time.Duration
	err        error
}

// doorClient sends reviews as a caller who has no privileges.
type doorClient struct {
	*http.Client
	url string
}

func newDoorClient(t *testing.T, s *testserver.Server, token string) doorClient {
	t.Helper()
	client, err := rest.HTTPClientFor(s.TokenConfig(token))
	if err != nil {
		t.Fatal(err)
	}
	return doorClient{client, s.URL}
}

func (c doorClient) review(t *testing.T, kind, door, token string) hungReview {
	t.Helper()
	body := fmt.Sprintf(`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":%q}}`, token)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+reviewDoors[door], bytes.NewReader([]byte(body)))
	if err != nil {
		return hungReview{kind: kind, door: door, err: err}
	}
	request.Header.Set("Content-Type", "application/json")
	begun := time.Now()
	response, err := c.Do(request)
	if err != nil {
		return hungReview{kind: kind, door: door, err: err}
	}
	defer response.Body.Close()
	var answer struct{ Status json.RawMessage }
	var status struct{ Authenticated bool }
	if json.NewDecoder(response.Body).Decode(&answer) == nil {
		_ = json.Unmarshal(answer.Status, &status) // the status of an error is a text
	}
	return hungReview{kind, door, response.StatusCode, status.Authenticated, time.Since(begun), nil}
}

// everyKind makes tokens of all kinds that memory knows, and returns them by kind. They have not been reviewed before.
func everyKind(t *testing.T, o opaque) map[string]string {
	t.Helper()
	admin := o.Admin()
	makeAccounts(t, admin, "app")
	if _, err := admin.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "legacy", Annotations: map[string]string{corev1.ServiceAccountNameKey: "app"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var legacy string
	eventually(t, "the secret holds a token", func() bool {
		secret, err := admin.CoreV1().Secrets("default").Get(t.Context(), "legacy", metav1.GetOptions{})
		legacy = string(secret.Data[corev1.ServiceAccountTokenKey])
		return err == nil && legacy != ""
	})
	access, _ := o.token("inactivityTimeoutSeconds: 60")
	return map[string]string{
		"a service account's": issue(t, admin, "app", nil),
		"in a secret":         legacy, // the day of its first use is noted on the secret
		"opaque":              access, // its deadline is put off
	}
}

// newHungStore returns a server behind a cable, and the client of an account that may review tokens.
func newHungStore(t *testing.T) (o opaque, line *cable, reviewer doorClient) {
	t.Helper()
	endpoint, _ := newMember(t, t.TempDir())
	line = newCable(t, endpoint)
	o = newOpaque(t, "--etcd-servers="+line.Endpoint, "--service-account-issuer=https://tokens.example",
		"--controllers=serviceaccount-token-controller", "--enable-bootstrap-token-auth", "--max-staleness=1m")
	makeAccounts(t, o.Admin(), "reviewer")
	allowReviews(t, o.Admin(), "reviewer")
	return o, line, newDoorClient(t, o.Server, issue(t, o.Admin(), "reviewer", nil))
}

// addBootstrapToken makes a bootstrap token and returns it.
func addBootstrapToken(t *testing.T, caller testserver.Caller, id string) string {
	t.Helper()
	caller.Run(testserver.Step{Request: "POST /api/v1/namespaces/kube-system/secrets", Status: http.StatusCreated, Body: `
{metadata: {name: bootstrap-token-` + id + `}, type: bootstrap.kubernetes.io/token,
 stringData: {token-id: ` + id + `, token-secret: 0123456789abcdef, usage-bootstrap-authentication: "true"}}`})
	return id + ".0123456789abcdef"
}

// TestHungStoreLeavesPlaces: as many reviews as are answered at a time need a read of a store that hangs. Each of them is
// told soon that there is no verdict. Meanwhile tokens of all kinds that memory knows are good.
func TestHungStoreLeavesPlaces(t *testing.T) {
	t.Parallel()
	o, line, reviewer := newHungStore(t)
	good := everyKind(t, o)
	bootstrap := addBootstrapToken(t, o.admin, "abcdef")
	line.freeze(true)

	const waiting, atOnce = 200, 50
	answers := make(chan hungReview, waiting)
	var asking sync.WaitGroup
	defer asking.Wait()
	for n := range waiting {
		door, kind, token := "fast path", "an unknown opaque token", fmt.Sprintf("sha256~made-up-%d", n)
		if n%2 == 1 {
			door = "generic chain"
		}
		switch n % 3 {
		case 1:
			kind, token = "a good bootstrap token", bootstrap
		case 2:
			kind, token = "an unknown bootstrap token", fmt.Sprintf("%06d.0123456789abcdef", n)
		}
		asking.Go(func() { answers <- reviewer.review(t, kind, door, token) })
	}
	check := func(a hungReview) {
		if a.err != nil || a.status != http.StatusServiceUnavailable || a.took > verdictLimit {
			t.Errorf("%s, %s: status %d after %s, error %v; want 503 within %s", a.kind, a.door, a.status, a.took, a.err, verdictLimit)
		}
	}
	for range atOnce { // there is no place for all reads, so some are not waited for
		check(awaitAnswer(t, answers))
	}
	for door := range reviewDoors {
		for kind, token := range good {
			if a := reviewer.review(t, kind, door, token); a.err != nil || a.status != http.StatusCreated || !a.good || a.took > verdictLimit/2 {
				t.Errorf("a token %s, %s: status %d, good %t, after %s, error %v", kind, door, a.status, a.good, a.took, a.err)
			}
		}
	}
	if len(answers) > waiting/2 {
		t.Error("the reads ended before the reviews that need none")
	}
	for range waiting - atOnce {
		check(awaitAnswer(t, answers))
	}

	line.freeze(false)
	for door := range reviewDoors {
		eventually(t, "the bootstrap token is good when the store answers, "+door, func() bool {
			return reviewer.review(t, "", door, bootstrap).good
		})
	}
}

func awaitAnswer(t *testing.T, answers <-chan hungReview) hungReview {
	t.Helper()
	select {
	case a := <-answers:
		return a
	case <-time.After(2 * verdictLimit):
		t.Fatalf("a review was not answered within %s", 2*verdictLimit)
		return hungReview{}
	}
}

// TestHungStoreIsWaitedForOnce: a request that needs a read gets 503 within the time of one read, whichever way it goes and
// whatever in it needs the read.
func TestHungStoreIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	o, line, reviewer := newHungStore(t)
	bootstrap := addBootstrapToken(t, o.admin, "abcdef")
	callers := map[string]doorClient{
		"a reviewer":                          reviewer,
		"a caller with a bootstrap token":     newDoorClient(t, o.Server, bootstrap),
		"a caller with an unknown token":      newDoorClient(t, o.Server, "sha256~made-up"),
		"the administrator, past all limits,": {Client: mustClient(t, o.AdminConfig()), url: o.URL},
	}
	line.freeze(true)
	var asking sync.WaitGroup
	for who, caller := range callers {
		for door := range reviewDoors {
			for kind, token := range map[string]string{"bootstrap": bootstrap, "unknown": "bcdefa.0123456789abcdef", "opaque": "sha256~nobody's"} {
				asking.Go(func() {
					a := caller.review(t, kind, door, token)
					if a.err != nil || a.status != http.StatusServiceUnavailable || a.took > verdictLimit {
						t.Errorf("%s, %s, %s: status %d after %s, error %v", who, kind, door, a.status, a.took, a.err)
					}
				})
			}
		}
	}
	asking.Wait()
	line.freeze(false)
}

func mustClient(t *testing.T, config *rest.Config) *http.Client {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestTokensOfAnotherReplicaAreGoodAtOnce: a replica whose watch is held back accepts what another one made a moment ago:
// tokens of every kind, of accounts and objects that it has not heard of.
func TestTokensOfAnotherReplicaAreGoodAtOnce(t *testing.T) {
	t.Parallel()
	endpoint, _ := newMember(t, t.TempDir())
	flags := append(storedFlags(t), "--enable-bootstrap-token-auth", "--max-staleness=1m")
	near := newOpaque(t, append(flags, "--etcd-servers="+endpoint, "--controllers=serviceaccount-token-controller")...)
	far := joinOpaque(t, append(flags, "--etcd-servers="+slowWatch(t, endpoint, 20*time.Second))...)
	tokens := everyKind(t, near)
	tokens["of bootstrap"] = addBootstrapToken(t, near.admin, "abcdef")
	tokens["of a pod"] = podToken(t, near)
	for door := range reviewDoors {
		for kind, token := range tokens {
			answer, status := far.admin.Do("POST "+reviewDoors[door], "{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: "+token+"}}")
			said, _ := answer.(map[string]any)["status"].(map[string]any)
			if good, _ := said["authenticated"].(bool); status != http.StatusCreated || !good {
				t.Errorf("a token %s, %s: status %d: %v", kind, door, status, said["error"])
			}
			// The same as a caller, who may be a stranger.
			if _, status := far.as(token).Do(strings.Replace(whoAmI, "selfsubjectreviews", "selfsubjectreviews?pretty=false", 1), "{}"); status != http.StatusCreated {
				t.Errorf("a caller with a token %s: status %d", kind, status)
			}
		}
	}
	// An account that was made anew: memory here has none, or the one before.
	for range 3 {
		if err := near.Admin().CoreV1().ServiceAccounts("default").Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		makeAccounts(t, near.Admin(), "app")
		if status := review(t, far.Admin(), issue(t, near.Admin(), "app", nil)); !status.Authenticated {
			t.Fatalf("the token of an account that was made anew: %s", status.Error)
		}
	}
}

// podToken makes a pod of the account app, and returns a token that is bound to it.
func podToken(t *testing.T, o opaque) string {
	t.Helper()
	web := pod()
	web.Name, web.Spec.ServiceAccountName = "fresh", "app"
	made, err := o.Admin().CoreV1().Pods("default").Create(t.Context(), web, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return issue(t, o.Admin(), "app", &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: made.Name, UID: made.UID})
}
