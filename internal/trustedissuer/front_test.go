package trustedissuer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	objects = "/apis/mintmark.io/v1alpha1/trustedissuers"
	reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
	app     = "system:serviceaccount:default:app"
)

// cluster is an issuer elsewhere, which nobody can reach: its keys are in the object.
type cluster struct {
	t      *testing.T
	url    string
	signer jose.JSONWebKey
}

// newCluster returns a cluster with a key. All clusters have the same key id.
func newCluster(t *testing.T, url string) *cluster {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{t, url, jose.JSONWebKey{Key: private, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}
}

// object is the object for the cluster, with further fields of the spec in YAML.
func (c *cluster) object(name, fields string) string {
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{c.signer.Public()}})
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("{apiVersion: mintmark.io/v1alpha1, kind: TrustedIssuer, metadata: {name: %s}, spec: {url: %q, jwks: %q, %s}}", name, c.url, keys, fields)
}

// token signs a token of the account app, with a uid, for audiences. The claims say that by issued it.
func (c *cluster) token(by, uid string, audiences ...string) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.signer}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	now := time.Now()
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": by, "sub": app, "aud": audiences, "exp": now.Add(time.Hour).Unix(), "iat": now.Add(-time.Minute).Unix(), "jti": "id1", "name": "ann",
		"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": "app", "uid": uid}},
	}).Serialize()
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

// review is what a review says: the user, with the uid, and the audiences; or the error.
func review(t *testing.T, admin testserver.Caller, path, token string, asked []string) string {
	t.Helper()
	list, _ := json.Marshal(asked)
	got, status := admin.Do("POST "+path, fmt.Sprintf("{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: %q, audiences: %s}}", token, list))
	if status/100 != 2 {
		t.Fatalf("%s: status %d: %v", path, status, got)
	}
	said := got.(map[string]any)["status"].(map[string]any)
	if authenticated, _ := said["authenticated"].(bool); !authenticated {
		return fmt.Sprint("refused: ", said["error"])
	}
	user := said["user"].(map[string]any)
	issuer := ""
	if extra, ok := user["extra"].(map[string]any); ok && extra["authentication.mintmark.io/issuer"] != nil {
		issuer = fmt.Sprint(" of ", extra["authentication.mintmark.io/issuer"])
	}
	return fmt.Sprint(user["username"], issuer, " for ", said["audiences"])
}

// TestMatrix: two clusters and another issuer have the same namespaces, accounts, uids and key ids as this server. Every token is
// asked about for every audience and tenant, on both transports and at the webhook, and says whose it is and no one else's.
func TestMatrix(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t, "--api-audiences=api")
	admin := server.Caller(server.AdminConfig())
	account := "/api/v1/namespaces/default/serviceaccounts"
	admin.Run(testserver.Step{Request: "POST " + account, Body: "{metadata: {name: app}}", Status: http.StatusCreated})
	got, _ := admin.Do("GET "+account+"/app", "")
	uid := got.(map[string]any)["metadata"].(map[string]any)["uid"].(string)
	issued, _ := admin.Do("POST "+account+"/app/token", "{spec: {audiences: [vault]}}")
	own := issued.(map[string]any)["status"].(map[string]any)["token"].(string)
	east, west, other := newCluster(t, "https://east.example"), newCluster(t, "https://west.example"), newCluster(t, "https://other.example")
	east.signer.KeyID = revocation.Read(own).KeyID
	trusted := map[*cluster]struct {
		fields, user     string
		tenant, good     []string
		goodForOurselves bool
	}{
		east:  {fields: "kubernetes: {}, tenant: {audiences: [east]}, audiences: [vault, east, api]", tenant: []string{"east"}, user: app + " of [" + east.url + "]"},
		west:  {fields: `kubernetes: {prefix: "west:"}, tenant: {audiences: [west, api]}, audiences: [vault, west, api]`, tenant: []string{"west", "api"}, user: "west:" + app + " of [" + west.url + "]", goodForOurselves: true},
		other: {fields: `claimMappings: {username: {claim: name, prefix: "other:"}}, audiences: [vault, api]`, user: "other:ann", goodForOurselves: true},
	}
	for c, object := range trusted {
		name, _, _ := strings.Cut(strings.TrimPrefix(c.url, "https://"), ".")
		body := c.object(name, object.fields+", audienceMatchPolicy: MatchAny")
		admin.Run(testserver.Step{Request: "POST " + objects, Body: body, Status: http.StatusCreated})
	}
	questions := [][]string{nil, {"api"}, {"vault"}, {"east"}, {"west"}, {"vault", "east"}, {"west", "vault"}, {"none"}}
	const unknown = "refused: [invalid bearer token, "
	for c, object := range trusted {
		for _, audience := range []string{"vault", "east", "west", "api"} {
			token := c.token(c.url, uid, audience)
			for _, asked := range questions {
				want := "refused: [invalid bearer token, "
				effective := asked
				if asked == nil {
					effective = []string{"api"}
				}
				seen := object.tenant == nil || slices.ContainsFunc(effective, func(a string) bool { return slices.Contains(object.tenant, a) })
				listed := strings.Contains(object.fields[strings.LastIndex(object.fields, "audiences:"):], audience) && (audience != "api" || object.goodForOurselves)
				switch {
				case !seen:
					want = "refused: invalid bearer token"
				case listed && slices.Contains(effective, audience):
					want = object.user + " for [" + audience + "]"
				}
				for _, path := range []string{reviews, reviews + "?fieldValidation=Strict", "/authenticate"} {
					if said := review(t, admin, path, token, asked); !strings.HasPrefix(strings.ReplaceAll(said, "[invalid bearer token]", "invalid bearer token"), want) {
						t.Errorf("%s: a token of %s for %s, asked for %q: %s, want %s", path, c.url, audience, asked, said, want)
					}
				}
			}
			_, status := server.Caller(server.TokenConfig(token)).Do("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", "{}")
			if caller := status == http.StatusCreated; caller != (audience == "api" && object.goodForOurselves) {
				t.Errorf("a token of %s for %s as a caller's: %d", c.url, audience, status)
			}
		}
	}
	for by, of := range map[*cluster]*cluster{east: west, west: other, other: east} {
		if said := review(t, admin, reviews, by.token(of.url, uid, "vault"), []string{"vault", "east", "west"}); !strings.HasPrefix(said, unknown) {
			t.Errorf("a token of %s that %s signed: %s", of.url, by.url, said)
		}
	}
	checkKeyRevocations(t, admin, own, east)
	checkRevocations(t, admin, east, uid)
	checkExplanation(t, admin, east, uid)
}

// checkRevocations: a revocation of an account of ours takes nothing from the account of the same name in a cluster, and one that
// names the cluster's issuer does.
func checkRevocations(t *testing.T, admin testserver.Caller, east *cluster, uid string) {
	t.Helper()
	token, asked := east.token(east.url, uid, "vault"), []string{"vault", "east"}
	revoke := func(spec string) {
		t.Helper()
		admin.Run(testserver.Step{Request: "POST /apis/mintmark.io/v1alpha1/tokenrevocations", Body: "{metadata: {generateName: r-}, spec: " + spec + "}", Status: http.StatusCreated})
	}
	revoke("{serviceAccount: {namespace: default, name: app}}")
	revoke("{credentialID: id1}")
	if said := review(t, admin, reviews, token, asked); said != app+" of ["+east.url+"] for [vault]" {
		t.Errorf("after our own account's tokens were revoked: %s", said)
	}
	revoke(fmt.Sprintf("{credentialID: id1, issuer: %q}", east.url))
	if said := review(t, admin, reviews, token, asked); said != "refused: [invalid bearer token]" && said != "refused: invalid bearer token" {
		t.Errorf("after the cluster's token was revoked: %s", said)
	}
}

// checkKeyRevocations: a cluster's key has the id of a key of ours. A revocation of the id is one of our key, and covers the tokens of
// the cluster's if it names the cluster.
func checkKeyRevocations(t *testing.T, admin testserver.Caller, own string, east *cluster) {
	t.Helper()
	theirs, issuer := east.token(east.url, "another", "vault"), revocation.Read(own).Issuer
	const entry = "/apis/mintmark.io/v1alpha1/tokenrevocations/key"
	for _, test := range []struct {
		named, stored         string
		ownRefused, theirsToo bool
	}{
		{named: "", stored: issuer, ownRefused: true},
		{named: ", issuer: '" + issuer + "'", stored: issuer, ownRefused: true},
		{named: ", issuer: '" + east.url + "'", stored: east.url, theirsToo: true},
	} {
		admin.Run(testserver.Step{
			Request: "POST " + path.Dir(entry), Status: http.StatusCreated, Want: "{spec: {issuer: '" + test.stored + "'}}",
			Body: "{metadata: {name: key}, spec: {keyID: " + east.signer.KeyID + test.named + "}}",
		})
		for token, refused := range map[string]bool{own: test.ownRefused, theirs: test.theirsToo} {
			if said := review(t, admin, reviews, token, []string{"vault", "east"}); strings.HasPrefix(said, "refused:") != refused {
				t.Errorf("a revocation of the key of %q: %s, want it refused: %t", test.named, said, refused)
			}
		}
		admin.Run(testserver.Step{Request: "DELETE " + entry, Status: http.StatusOK})
	}
}

// checkExplanation: an explanation names the object, the tenant, the key with its age, and what is isolated.
func checkExplanation(t *testing.T, admin testserver.Caller, east *cluster, uid string) {
	t.Helper()
	token := east.token(east.url, uid, "vault")
	got, status := admin.Do("POST /apis/mintmark.io/v1alpha1/tokenexplanations", fmt.Sprintf("{spec: {token: %q, audiences: [vault, east]}}", token))
	text, _ := json.Marshal(got)
	for _, want := range []string{`"TrustedIssuer"`, "of the TrustedIssuer east", `"tenant"`, `"key"`, "in the object", `"isolation"`, `"signature"`, `"audience"`} {
		if status != http.StatusCreated || !strings.Contains(string(text), want) {
			t.Errorf("%d: no %s in %s", status, want, strings.ReplaceAll(string(text), token, ""))
		}
	}
}

// TestReplicas: an object that one replica has stored counts on another from when the write is acknowledged, and its removal as soon as
// the watch tells of it.
func TestReplicas(t *testing.T) {
	t.Parallel()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	key := filepath.Join(t.TempDir(), "key.pem")
	testserver.WriteSigningKey(t, key)
	flags := []string{
		"--etcd-servers=" + member.Endpoint(), "--controllers=", "--service-account-issuer=https://tokens.example", "--service-account-signing-key-file=" + key,
	}
	first, second := testserver.Start(t, flags...), testserver.Start(t, flags...)
	one, other := first.Caller(first.AdminConfig()), second.Caller(second.AdminConfig())
	for round := range 5 {
		c := newCluster(t, fmt.Sprintf("https://%d.example", round))
		token, asked := c.token(c.url, "u1", "vault"), []string{"vault"}
		const refused = "refused: [invalid bearer token]"
		if said := review(t, other, reviews, token, asked); said != refused && said != "refused: invalid bearer token" {
			t.Fatalf("before there is an object: %s", said)
		}
		one.Run(testserver.Step{Request: "POST " + objects, Body: c.object("east", `kubernetes: {prefix: "east:"}, audiences: [vault]`), Status: http.StatusCreated})
		if said := review(t, other, reviews, token, asked); !strings.HasPrefix(said, "east:") {
			t.Fatalf("on another replica, right after the write: %s", said)
		}
		one.Run(testserver.Step{Request: "DELETE " + objects + "/east", Status: http.StatusOK})
		if said := review(t, one, reviews, token, asked); strings.HasPrefix(said, "east:") {
			t.Errorf("on the same replica, right after the removal: %s", said)
		}
		for removed := time.Now(); strings.HasPrefix(review(t, other, reviews, token, asked), "east:"); {
			if time.Since(removed) > 10*time.Second {
				t.Fatal("another replica still accepts the tokens of an object that was removed")
			}
		}
	}
}
