package apiserver_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/internal/testserver"
)

const trustedIssuers = "/apis/mintmark.io/v1alpha1/trustedissuers"

// TestOneReviewerForTwoClusters: two API servers with the same namespaces and accounts, and one server that reviews the tokens of
// both as Vault and kube-rbac-proxy ask.
func TestOneReviewerForTwoClusters(t *testing.T) {
	t.Parallel()
	clusters := map[string]reviewed{}
	for _, name := range []string{"east", "west"} {
		clusters[name] = startReviewed(t, "--service-account-issuer=https://"+name+".example")
	}
	file := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(file, []byte("reviewertoken,reviewer,reviewer-uid\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	here := testserver.Start(t, "--token-auth-file="+file)
	admin := here.Caller(here.AdminConfig())
	admin.Run(testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", Status: 201, Body: `
{metadata: {name: reviewer}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:auth-delegator},
 subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reviewer}]}`})
	for name, cluster := range clusters {
		keys, err := cluster.Admin().CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		admin.Run(testserver.Step{
			Request: "POST " + trustedIssuers, Status: 201,
			Body: "{metadata: {name: " + name + "}, spec: {url: 'https://" + name + ".example', audiences: [vault." + name + "], kubernetes: {}, jwks: '" + string(keys) + "'}}",
		})
	}
	vaultOfManyClusters(t, here, clusters)
	admin.Run(testserver.Step{
		Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterroles", Status: 201, Body: "{metadata: {name: web-metrics}, rules: [{nonResourceURLs: [/metrics], verbs: [get]}]}",
	})
	noRightsOfAccountsHere(t, here, clusters)
	awaitReady(t, admin, "east")

	// The same objects, changed: from then on the tokens are for the proxy, and names have a prefix.
	for name := range clusters {
		admin.Run(testserver.Step{
			Request: "PATCH " + trustedIssuers + "/" + name, Headers: []string{"Content-Type: application/merge-patch+json"}, Status: 200,
			Body: "{spec: {audiences: [web-metrics], kubernetes: {prefix: '" + name + ":'}}}",
		})
	}
	proxyOfManyClusters(t, here, clusters)
}

// vaultOfManyClusters logs in to Vault: each cluster has an audience, and names are of the form that Vault takes.
func vaultOfManyClusters(t *testing.T, here *testserver.Server, clusters map[string]reviewed) {
	t.Helper()
	review := func(token, audience string) authenticationv1.TokenReviewStatus {
		t.Helper()
		status, body := vaultAsks(t, here, "reviewertoken", token, audience)
		var review authenticationv1.TokenReview
		if err := json.Unmarshal(body, &review); err != nil || status != http.StatusCreated {
			t.Fatalf("%d %s %v", status, body, err)
		}
		return review.Status
	}
	for name, other := range map[string]string{"east": "west", "west": "east"} {
		cluster := clusters[name]
		status := review(cluster.token(t, "vault."+name), "vault."+name)
		if parts := strings.Split(status.User.Username, ":"); !status.Authenticated || !slices.Equal(parts, []string{"system", "serviceaccount", "default", "app"}) {
			t.Errorf("%s: %+v", name, status)
		}
		extra := status.User.Extra
		if status.User.UID != string(cluster.account.UID) || !slices.Equal(extra["authentication.mintmark.io/issuer"], []string{"https://" + name + ".example"}) ||
			!slices.Equal(extra["authentication.kubernetes.io/pod-uid"], []string{string(cluster.pod.UID)}) {
			t.Errorf("%s: %+v", name, status.User)
		}
		// A cluster issues tokens for any audience, and is believed for its own only.
		for _, token := range []string{cluster.token(t, "vault."+name), cluster.token(t, "vault."+other), cluster.token(t, "vault.east", "vault.west")} {
			if status := review(token, "vault."+other); status.Authenticated {
				t.Errorf("a token of %s is good for the audience of %s: %+v", name, other, status)
			}
		}
		// Nor is a token of it good for this server, for whatever audience it was issued.
		if status := review(cluster.token(t, here.URL), here.URL); status.Authenticated {
			t.Errorf("a token of %s is good for this server: %+v", name, status)
		}
	}
}

// proxyOfManyClusters asks as kube-rbac-proxy does: who is it, and may they.
func proxyOfManyClusters(t *testing.T, here *testserver.Server, clusters map[string]reviewed) {
	t.Helper()
	admin, proxy := here.Caller(here.AdminConfig()), newProxy(t, here.As("reviewertoken"), "web-metrics")
	ask := func(name string) (user.Info, authorizer.Decision) {
		t.Helper()
		cluster := clusters[name]
		caller, decision, _ := proxy.ask(t, cluster.token(t, "web-metrics"))
		return caller, decision
	}
	admin.Run(
		testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", Status: 201, Body: `
{metadata: {name: web-metrics}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: web-metrics},
 subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: 'east:system:serviceaccount:default:app'}]}`},
	)
	for name, want := range map[string]authorizer.Decision{"east": authorizer.DecisionAllow, "west": authorizer.DecisionNoOpinion} {
		caller, decision := ask(name)
		if caller == nil || decision != want || caller.GetName() != name+":system:serviceaccount:default:app" || !slices.Contains(caller.GetGroups(), name+":system:serviceaccounts") {
			t.Errorf("%s: %+v, decision %d", name, caller, decision)
		}
	}
	admin.Run(testserver.Step{Request: "DELETE " + trustedIssuers + "/east", Status: 200})
	if caller, _ := ask("east"); caller != nil {
		t.Errorf("a token of an issuer that was removed is good: %+v", caller)
	}
	if caller, _ := ask("west"); caller == nil {
		t.Error("with the one issuer the other one was removed")
	}
}

// awaitReady waits until the status of an issuer says that its tokens are accepted, and checks what else it says.
func awaitReady(t *testing.T, admin testserver.Caller, name string) {
	t.Helper()
	for began := time.Now(); ; {
		answer, _ := admin.Do("GET "+trustedIssuers+"/"+name+"/status", "")
		status, _ := answer.(map[string]any)["status"].(map[string]any)
		if ids, _ := status["keyIDs"].([]any); len(ids) == 1 {
			text, _ := json.Marshal(status)
			for _, want := range []string{`"observedGeneration":1`, `"reason":"KeysKnown","status":"True","type":"Ready"`, `"reason":"Inline","status":"True","type":"KeysRead"`} {
				if !strings.Contains(string(text), want) {
					t.Errorf("the status lacks %s: %s", want, text)
				}
			}
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("no status is noted: %v", answer)
		}
	}
}
