package openshift_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/testserver"
)

// store is the etcd of a server.
type store struct {
	t      *testing.T
	client *clientv3.Client
}

func openStore(t *testing.T, server *testserver.Server) store {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(server.DataDir, "etcd", "client.sock")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return store{t, client}
}

// key is where an object is stored.
func (s store) key(resource, name string) string {
	s.t.Helper()
	found, err := s.client.Get(s.t.Context(), "/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, pair := range found.Kvs {
		if key := string(pair.Key); strings.HasSuffix(key, "/"+resource+"/"+name) {
			return key
		}
	}
	s.t.Fatalf("%s is not among %s in the store", name, resource)
	return ""
}

// granted is how long, in seconds, the storage keeps an object from when it was last written; 0 is for ever.
func (s store) granted(resource, name string) int64 {
	s.t.Helper()
	found, err := s.client.Get(s.t.Context(), s.key(resource, name))
	if err != nil || len(found.Kvs) != 1 {
		s.t.Fatalf("%d objects, %v", len(found.Kvs), err)
	}
	lease := clientv3.LeaseID(found.Kvs[0].Lease)
	if lease == clientv3.NoLease {
		return 0
	}
	life, err := s.client.TimeToLive(s.t.Context(), lease)
	if err != nil {
		s.t.Fatal(err)
	}
	return life.GrantedTTL
}

// The storage keeps a token for its life. The library adds a twentieth, at most a minute, so that tokens share leases.
func TestTokensAreStoredForTheirLife(t *testing.T) {
	server, admin := startOAuth(t)
	stored := openStore(t, server)
	admin.Run(
		createToken(first, "ada", "expiresIn: 7200"),
		createToken(second, "ada", ""),
		testserver.Step{Request: "POST " + oauthAPI + "oauthauthorizetokens", Status: 201, Body: token(first, "ada", "expiresIn: 300")},
		testserver.Step{
			Request: "PATCH " + oauthAPI + "oauthaccesstokens/" + third + "?fieldManager=a", Headers: []string{apply}, Status: 201,
			Body: token(third, "ada", "expiresIn: 600, apiVersion: oauth.openshift.io/v1, kind: OAuthAccessToken"),
		},
	)
	for _, test := range []struct {
		resource, name string
		least, most    int64
	}{
		{resource: "oauthaccesstokens", name: first, least: 7200, most: 7260},
		{resource: "oauthaccesstokens", name: second},
		{resource: "oauthauthorizetokens", name: first, least: 300, most: 315},
		{resource: "oauthaccesstokens", name: third, least: 600, most: 630},
		{resource: "oauthclients", name: "demo"},
	} {
		if got := stored.granted(test.resource, test.name); got < test.least || got > test.most {
			t.Errorf("%s %s: %d seconds, want %d to %d", test.resource, test.name, got, test.least, test.most)
		}
	}
}

// A token that is changed, as it is when its use is noted, is kept for what is left of its life and not for another one.
func TestChangedTokensGetNoNewLife(t *testing.T) {
	server, admin := startOAuth(t)
	stored := openStore(t, server)
	admin.Run(createToken(first, "ada", "expiresIn: 7200, inactivityTimeoutSeconds: 4000"))
	// As it would be an hour later.
	key := stored.key("oauthaccesstokens", first)
	object := fmt.Sprintf(`{"kind":"OAuthAccessToken","apiVersion":"oauth.openshift.io/v1","metadata":{"name":%q,"uid":"u","creationTimestamp":%q},`+
		`"clientName":"demo","expiresIn":7200,"inactivityTimeoutSeconds":4000,"userName":"ada","userUID":"u","scopes":["user:full"]}`,
		first, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	if _, err := stored.client.Put(t.Context(), key, object); err != nil {
		t.Fatal(err)
	}
	if got := stored.granted("oauthaccesstokens", first); got != 0 {
		t.Fatalf("the object that was put there has a life of %d seconds already", got)
	}
	admin.Run(testserver.Step{
		Request: "PATCH " + oauthAPI + "oauthaccesstokens/" + first, Headers: []string{merge}, Status: 200,
		Body: `inactivityTimeoutSeconds: 5000`, Want: `inactivityTimeoutSeconds: 5000`,
	})
	// An hour is left, less what the machine was slow, and a minute on top.
	if got := stored.granted("oauthaccesstokens", first); got < 3500 || got > 3661 {
		t.Errorf("%d seconds, want about 3600", got)
	}
}

// When a token has ended, the object goes, and those who watch are told.
func TestEndedTokensGo(t *testing.T) {
	server, admin := startOAuth(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kubernetes.NewForConfig(server.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := newEvents(ctx, client, oauthAPI+"oauthaccesstokens", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.stream.Close()
	admin.Run(createToken(first, "ada", "expiresIn: 1"))
	seen, err := watcher.next(2)
	if err != nil || seen[1] != "DELETED OAuthAccessToken "+first {
		t.Errorf("%q, %v", seen, err)
	}
	admin.Run(testserver.Step{Request: "GET " + oauthAPI + "oauthaccesstokens/" + first, Status: 404})
}
