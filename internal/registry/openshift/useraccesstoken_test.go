package openshift_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

const own = oauthAPI + "useroauthaccesstokens"

func TestUsersSeeTheirOwnTokens(t *testing.T) {
	server, admin := startOAuth(t)
	admin.Run(
		createToken(first, "ada", ""), createToken(second, "ada", "expiresIn: 86400"), createToken(third, "bob", ""),
	)
	missing := `message: 'useroauthaccesstokens.oauth.openshift.io "` + third + `" not found'`
	user(server, "ada").Run(
		testserver.Step{
			Request: "GET " + own, Status: 200,
			Want: `{kind: UserOAuthAccessTokenList, items: [{metadata: {name: ` + first + `}}, {metadata: {name: ` + second + `}}]}`,
		},
		testserver.Step{Request: "GET " + own + "/" + first, Status: 200, Want: `{kind: UserOAuthAccessToken, userName: ada}`},
		testserver.Step{Request: "GET " + own + "/" + third, Status: 404, Want: missing},
		testserver.Step{Request: "DELETE " + own + "/" + third, Status: 404, Want: missing},
		testserver.Step{Request: "GET " + own + "?fieldSelector=clientName%3Ddemo,metadata.name%3D" + second, Status: 200, Want: `items: [{metadata: {name: ` + second + `}}]`},
		testserver.Step{Request: "GET " + own + "?fieldSelector=clientName%3Dother", Status: 200, Want: `items: []`},
		testserver.Step{
			Request: "GET " + own + "?fieldSelector=userName%3Dbob", Status: 400,
			Want: `message: '"userName" is not a known field selector: only "metadata.name", "metadata.namespace"'`,
		},
		testserver.Step{
			Request: "GET " + own + "/" + second, Headers: []string{table}, Status: 200,
			Want: `{columnDefinitions: [{name: Name}, {name: Client Name}, {name: Created}, {name: Expires}, {name: Redirect URI}, {name: Scopes}]}`,
		},
		testserver.Step{
			Request: "DELETE " + own + "/" + first, Body: `preconditions: {uid: other}`, Status: 409,
			Want: `{reason: Conflict, details: {kind: OAuthAccessToken}}`,
		},
		testserver.Step{Request: "DELETE " + own + "/" + first + "?dryRun=All", Status: 200, Want: `kind: OAuthAccessToken`},
		testserver.Step{Request: "DELETE " + own + "/" + first, Headers: []string{table}, Status: 200, Want: `{kind: Table, rows: [{object: {metadata: {name: ` + first + `}}}]}`},
		testserver.Step{Request: "DELETE " + own + "/" + first, Status: 404},
		testserver.Step{Request: "DELETE " + own + "/" + second, Status: 200, Want: `{kind: OAuthAccessToken, metadata: {name: ` + second + `}}`},
		testserver.Step{Request: "GET " + own, Status: 200, Want: `items: []`},
	)
	// The administrator is another user, and sees none here.
	admin.Run(
		testserver.Step{Request: "GET " + own, Status: 200, Want: `items: []`},
		testserver.Step{Request: "GET " + own + "/" + third, Status: 404, Want: missing},
		testserver.Step{Request: "GET " + oauthAPI + "oauthaccesstokens", Status: 200, Want: `items: [{metadata: {name: ` + third + `}}]`},
	)
}

// Pages are full, whatever a user selects by: others' tokens don't count.
func TestPagesOfOwnTokensAreFull(t *testing.T) {
	server, admin := startOAuth(t)
	for i := range 6 {
		admin.Run(createToken(fmt.Sprintf("sha256~%040d", 2*i), "bob", ""), createToken(fmt.Sprintf("sha256~%040d", 2*i+1), "ada", ""))
	}
	ada := user(server, "ada")
	for _, query := range []string{"", "&fieldSelector=clientName%3Ddemo"} {
		var pages []int
		next := ""
		for range 10 {
			answer, status := ada.Do("GET "+own+"?limit=4"+query+next, "")
			list, ok := answer.(map[string]any)
			if !ok || status != 200 {
				t.Fatalf("status %d", status)
			}
			pages = append(pages, len(list["items"].([]any)))
			token, more := list["metadata"].(map[string]any)["continue"].(string)
			if !more {
				break
			}
			next = "&continue=" + token
		}
		if d := cmp.Diff([]int{4, 2}, pages); d != "" {
			t.Errorf("pages with %q (-want +got):\n%s", query, d)
		}
	}
}

// events is a watch that says what it is told.
type events struct {
	stream io.ReadCloser
	read   *json.Decoder
}

func newEvents(ctx context.Context, client kubernetes.Interface, path string, query map[string]string) (*events, error) {
	request := client.Discovery().RESTClient().Get().AbsPath(path).Param("watch", "true").Param("timeoutSeconds", "60")
	for name, value := range query {
		request = request.Param(name, value)
	}
	stream, err := request.Stream(ctx)
	if err != nil {
		return nil, err
	}
	return &events{stream, json.NewDecoder(stream)}, nil
}

// next reads so many events: of what type, about which kind, and about which object, or if it is the end of the beginning.
func (e *events) next(count int) ([]string, error) {
	var seen []string
	for range count {
		var event struct {
			Type   string
			Object struct {
				Kind     string
				Metadata struct {
					Name        string
					Annotations map[string]string
				}
			}
		}
		if err := e.read.Decode(&event); err != nil {
			return seen, err
		}
		if event.Type == "BOOKMARK" {
			event.Object.Metadata.Name = event.Object.Metadata.Annotations["k8s.io/initial-events-end"]
		}
		seen = append(seen, event.Type+" "+event.Object.Kind+" "+event.Object.Metadata.Name)
	}
	return seen, nil
}

// Those who watch are told of their own tokens only, and that they have been told everything.
func TestWatchesOfOwnTokens(t *testing.T) {
	server, admin := startOAuth(t)
	admin.Run(createToken(first, "ada", ""), createToken(second, "bob", ""))
	config := server.AdminConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: "ada", Groups: []string{"system:authenticated", "system:authenticated:oauth"}}
	ada, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	initial := map[string]string{"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
	var watchers []*events
	for range 3 {
		watcher, err := newEvents(ctx, ada, own, initial)
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.stream.Close()
		seen, err := watcher.next(2)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"ADDED UserOAuthAccessToken " + first, "BOOKMARK UserOAuthAccessToken true"}, seen); d != "" {
			t.Errorf("in the beginning (-want +got):\n%s", d)
		}
		watchers = append(watchers, watcher)
	}
	user(server, "ada").Run(testserver.Step{Request: "DELETE " + own + "/" + first, Status: 200})
	admin.Run(
		testserver.Step{Request: "DELETE " + oauthAPI + "oauthaccesstokens/" + second, Status: 200},
		createToken(third, "ada", ""),
	)
	for _, watcher := range watchers {
		seen, err := watcher.next(2)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		if d := cmp.Diff([]string{"DELETED UserOAuthAccessToken " + first, "ADDED UserOAuthAccessToken " + third}, seen); d != "" {
			t.Errorf("then (-want +got):\n%s", d)
		}
	}
}
