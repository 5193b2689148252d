package controller_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/testserver"
)

// collected is a server with the garbage collector alone, and its administrator.
type collected struct {
	testserver.Caller
	t *testing.T
}

func startCollector(t *testing.T, flags ...string) collected {
	t.Helper()
	server := testserver.Start(t, append([]string{"--controllers=garbage-collector-controller"}, flags...)...)
	return collected{server.Caller(server.AdminConfig()), t}
}

const (
	accountsPath     = "/api/v1/namespaces/default/serviceaccounts"
	secretsPath      = "/api/v1/namespaces/default/secrets"
	podsPath         = "/api/v1/namespaces/default/pods"
	nodesPath        = "/api/v1/nodes"
	namespacesPath   = "/api/v1/namespaces"
	rolesPath        = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
	bindingsPath     = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
	clusterRolesPath = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
)

// create makes an object and returns its UID. Owners are references as owner returns them.
func (c collected) create(path, name string, owners ...string) (uid string) {
	c.t.Helper()
	return c.createWith(path, name, `[]`, "", owners...)
}

func (c collected) createWith(path, name, finalizers, more string, owners ...string) (uid string) {
	c.t.Helper()
	body := fmt.Sprintf(`{metadata: {name: %q, finalizers: %s, ownerReferences: [%s]}%s}`, name, finalizers, strings.Join(owners, ", "), more)
	answer, status := c.Do("POST "+path, body)
	if status != 201 {
		c.t.Fatalf("creating %s: %d %v", name, status, answer)
	}
	return metadata(answer)["uid"].(string)
}

func metadata(object any) map[string]any {
	object = object.(map[string]any)["metadata"]
	return object.(map[string]any)
}

// owner is an owner reference; more members may follow.
func owner(kind, name, uid string, more ...string) string {
	version := "v1"
	if strings.Contains(kind, "Role") {
		version = "rbac.authorization.k8s.io/v1"
	}
	return fmt.Sprintf(`{apiVersion: %s, kind: %s, name: %q, uid: %q%s}`, version, kind, name, uid, strings.Join(more, ""))
}

const blocking = ", blockOwnerDeletion: true"

func (c collected) delete(path, query string) {
	c.t.Helper()
	if answer, status := c.Do("DELETE "+path+query, ""); status != 200 {
		c.t.Fatalf("deleting %s: %d %v", path, status, answer)
	}
}

// gone waits until objects are no longer there.
func (c collected) gone(paths ...string) {
	c.t.Helper()
	for _, path := range paths {
		c.eventually(path+" is gone", func() (any, bool) {
			answer, status := c.Do("GET "+path, "")
			return answer, status == 404
		})
	}
}

// stays checks that objects are still there after the collector has gone through everything that was queued before.
func (c collected) stays(paths ...string) {
	c.t.Helper()
	c.settled()
	for _, path := range paths {
		answer, status := c.Do("GET "+path, "")
		if status != 200 {
			c.t.Errorf("%s: %d %v", path, status, answer)
			continue
		}
		if metadata(answer)["deletionTimestamp"] != nil {
			c.t.Errorf("%s is being deleted", path)
		}
	}
}

// settled returns when the collector, which takes one object after the other, has deleted one that comes last.
func (c collected) settled() {
	c.t.Helper()
	for range 2 {
		c.createWith(secretsPath, "last", `[]`, "", owner("Secret", "never", "00000000-0000-0000-0000-000000000000"))
		c.gone(secretsPath + "/last")
	}
}

func (c collected) eventually(what string, done func() (any, bool)) {
	c.t.Helper()
	deadline := time.Now().Add(8 * time.Second)
	for {
		answer, ok := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			text, _ := json.Marshal(answer)
			c.t.Fatalf("not so: %s; the last answer was %s", what, text)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// owners returns the names of an object's owners.
func (c collected) owners(path string) string {
	c.t.Helper()
	answer, status := c.Do("GET "+path, "")
	if status != 200 {
		c.t.Fatalf("%s: %d %v", path, status, answer)
	}
	refs, _ := metadata(answer)["ownerReferences"].([]any)
	var names []string
	for _, ref := range refs {
		names = append(names, ref.(map[string]any)["name"].(string))
	}
	return strings.Join(names, " ")
}

func TestDependentsGoWithTheirOwner(t *testing.T) {
	c := startCollector(t)
	pod := `, spec: {containers: [{name: c, image: i}], serviceAccountName: app}`
	uid := c.create(accountsPath, "app")
	c.create(secretsPath, "key", owner("ServiceAccount", "app", uid))
	podUID := c.createWith(podsPath, "pod", `[]`, pod, owner("ServiceAccount", "app", uid, ", controller: true"))
	c.create(secretsPath, "of-pod", owner("Pod", "pod", podUID))
	c.createWith(bindingsPath, "reader", `[]`, `, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}`,
		owner("ServiceAccount", "app", uid))
	c.create(secretsPath, "other")
	c.delete(accountsPath+"/app", "")
	c.gone(secretsPath+"/key", podsPath+"/pod", secretsPath+"/of-pod", bindingsPath+"/reader")
	c.stays(secretsPath + "/other")
}

func TestOwnersThatAreNotThere(t *testing.T) {
	c := startCollector(t)
	uid := c.create(accountsPath, "app")
	elsewhere := c.create("/api/v1/namespaces/kube-system/secrets", "elsewhere")
	const none = "00000000-0000-0000-0000-000000000001"
	for name, ref := range map[string]string{
		"never":             owner("Secret", "never", none),
		"other-uid":         owner("ServiceAccount", "app", none),
		"other-name":        owner("ServiceAccount", "application", uid),
		"other-kind":        owner("Secret", "app", uid),
		"other-namespace":   owner("Secret", "elsewhere", elsewhere),
		"cluster-scoped":    owner("ClusterRole", "app", uid),
		"blocking":          owner("Secret", "never", none, blocking),
		"two":               owner("Secret", "never", none) + ", " + owner("Secret", "neither", none),
		"same-uid-two-ways": owner("Secret", "app", uid) + ", " + owner("Pod", "app", uid),
	} {
		c.create(secretsPath, name, ref)
		c.gone(secretsPath + "/" + name)
	}
	c.stays(accountsPath+"/app", "/api/v1/namespaces/kube-system/secrets/elsewhere")
}

func TestOneOwnerKeepsAnObject(t *testing.T) {
	c := startCollector(t)
	a, b := c.create(accountsPath, "a"), c.create(accountsPath, "b")
	first, second := owner("ServiceAccount", "a", a), owner("ServiceAccount", "b", b)
	c.create(secretsPath, "of-both", first, second)
	c.create(secretsPath, "right-and-wrong", owner("Secret", "a", a), first)
	c.eventually("the reference to nothing is cut", func() (any, bool) {
		owners := c.owners(secretsPath + "/right-and-wrong")
		return owners, owners == "a"
	})
	c.delete(accountsPath+"/a", "")
	c.eventually("the reference to the deleted owner is cut", func() (any, bool) {
		owners := c.owners(secretsPath + "/of-both")
		return owners, owners == "b"
	})
	c.gone(secretsPath + "/right-and-wrong")
	c.delete(accountsPath+"/b", "")
	c.gone(secretsPath + "/of-both")
}

// An object is neither deleted nor changed as long as one of its owners can't be looked up.
func TestOwnersThatAreNotServed(t *testing.T) {
	c := startCollector(t)
	const none = "00000000-0000-0000-0000-000000000001"
	gone := owner("Secret", "never", none)
	unserved := map[string]string{
		"deployment":  `{apiVersion: apps/v1, kind: Deployment, name: web, uid: u}`,
		"replica-set": `{apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: u, controller: true, blockOwnerDeletion: true}`,
		"version":     `{apiVersion: rbac.authorization.k8s.io/v1beta1, kind: Role, name: web, uid: u}`,
		"group":       `{apiVersion: example.com/v1, kind: Secret, name: web, uid: u}`,
		"not-stored":  `{apiVersion: authentication.k8s.io/v1, kind: TokenReview, name: web, uid: u}`,
		"list":        `{apiVersion: v1, kind: SecretList, name: web, uid: u}`,
		"plural":      `{apiVersion: v1, kind: secrets, name: web, uid: u}`,
		"openshift":   `{apiVersion: user.openshift.io/v1, kind: User, name: web, uid: u}`,
		"odd-name":    `{apiVersion: v1, kind: Secret, name: "a/b", uid: u}`,
	}
	for name, ref := range unserved {
		c.create(secretsPath, name, gone, ref)
	}
	secret := c.create(secretsPath, "secret")
	c.create(clusterRolesPath, "of-a-secret", owner("Secret", "secret", secret))
	c.create(clusterRolesPath, "of-nothing", gone)
	c.stays(clusterRolesPath+"/of-a-secret", clusterRolesPath+"/of-nothing")
	for name := range unserved {
		c.stays(secretsPath + "/" + name)
		if owners := c.owners(secretsPath + "/" + name); !strings.HasPrefix(owners, "never ") {
			t.Errorf("%s has the owners %q now", name, owners)
		}
	}
}

func TestOwnersInNoNamespace(t *testing.T) {
	c := startCollector(t)
	node, role := c.create(nodesPath, "n"), c.create(clusterRolesPath, "r")
	c.create(secretsPath, "of-node", owner("Node", "n", node))
	c.create("/api/v1/namespaces/kube-system/secrets", "of-node", owner("Node", "n", node))
	c.create(clusterRolesPath, "of-role", owner("ClusterRole", "r", role))
	c.stays(secretsPath+"/of-node", "/api/v1/namespaces/kube-system/secrets/of-node", clusterRolesPath+"/of-role")
	c.delete(nodesPath+"/n", "")
	c.delete(clusterRolesPath+"/r", "?propagationPolicy=Foreground")
	c.gone(secretsPath+"/of-node", "/api/v1/namespaces/kube-system/secrets/of-node", clusterRolesPath+"/of-role", clusterRolesPath+"/r")
}

func TestForegroundDeletionWaitsForBlockingDependents(t *testing.T) {
	c := startCollector(t)
	uid := c.create(accountsPath, "app")
	c.createWith(secretsPath, "held", `[example.com/hold]`, "", owner("ServiceAccount", "app", uid, blocking))
	c.createWith(secretsPath, "held-too", `[example.com/hold]`, "", owner("ServiceAccount", "app", uid))
	c.create(secretsPath, "free", owner("ServiceAccount", "app", uid))
	c.Run(testserver.Step{
		Request: "DELETE " + accountsPath + "/app", Body: `{kind: DeleteOptions, apiVersion: v1, propagationPolicy: Foreground}`, Status: 200,
		Want: `{metadata: {name: app, finalizers: [foregroundDeletion]}}`,
	})
	c.gone(secretsPath + "/free")
	c.settled()
	for _, path := range []string{accountsPath + "/app", secretsPath + "/held", secretsPath + "/held-too"} {
		answer, status := c.Do("GET "+path, "")
		if status != 200 || metadata(answer)["deletionTimestamp"] == nil {
			t.Errorf("%s: %d %v, want it to wait for its end", path, status, answer)
		}
	}
	c.letGo(secretsPath + "/held")
	c.gone(secretsPath+"/held", accountsPath+"/app")
	if _, status := c.Do("GET "+secretsPath+"/held-too", ""); status != 200 {
		t.Errorf("a dependent that doesn't block: %d", status)
	}
}

// letGo takes the finalizers of an object away.
func (c collected) letGo(path string) {
	c.t.Helper()
	c.patch(path, `{metadata: {finalizers: null}}`)
}

func (c collected) patch(path, body string) {
	c.t.Helper()
	if answer, status := c.Do("PATCH "+path, body, "Content-Type: application/merge-patch+json"); status != 200 {
		c.t.Fatalf("patching %s: %d %v", path, status, answer)
	}
}

func TestForegroundDeletionOfChains(t *testing.T) {
	c := startCollector(t)
	a := c.create(secretsPath, "a")
	b := c.create(secretsPath, "b", owner("Secret", "a", a, blocking))
	d := c.create(secretsPath, "c", owner("Secret", "b", b, blocking))
	c.createWith(secretsPath, "d", `[example.com/hold]`, "", owner("Secret", "c", d, blocking))
	c.delete(secretsPath+"/a", "?propagationPolicy=Foreground")
	c.eventually("the last of the chain is being deleted", func() (any, bool) {
		answer, _ := c.Do("GET "+secretsPath+"/d", "")
		return answer, metadata(answer)["deletionTimestamp"] != nil
	})
	for _, name := range []string{"a", "b", "c"} {
		c.Run(testserver.Step{Request: "GET " + secretsPath + "/" + name, Status: 200, Want: `{metadata: {finalizers: [foregroundDeletion]}}`})
	}
	c.letGo(secretsPath + "/d")
	c.gone(secretsPath+"/a", secretsPath+"/b", secretsPath+"/c", secretsPath+"/d")
}

// A dependent that stops blocking lets its owner go.
func TestForegroundDeletionEndsWithTheReference(t *testing.T) {
	for name, refs := range map[string]string{
		"unblocked": `[{apiVersion: v1, kind: ServiceAccount, name: app, uid: %q}]`,
		"disowned":  `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			c := startCollector(t)
			uid := c.create(accountsPath, "app")
			c.createWith(secretsPath, "held", `[example.com/hold]`, "", owner("ServiceAccount", "app", uid, blocking))
			c.delete(accountsPath+"/app", "?propagationPolicy=Foreground")
			if strings.Contains(refs, "%") {
				refs = fmt.Sprintf(refs, uid)
			}
			c.patch(secretsPath+"/held", fmt.Sprintf(`{metadata: {ownerReferences: %s}}`, refs))
			c.gone(accountsPath + "/app")
		})
	}
}

func TestOrphaning(t *testing.T) {
	for _, option := range []string{"propagationPolicy=Orphan", "orphanDependents=true"} {
		t.Run(option, func(t *testing.T) {
			c := startCollector(t)
			a, b := c.create(accountsPath, "a"), c.create(accountsPath, "b")
			c.create(secretsPath, "only-a", owner("ServiceAccount", "a", a, blocking))
			c.create(secretsPath, "both", owner("ServiceAccount", "a", a), owner("ServiceAccount", "b", b))
			c.create(accountsPath, "account", owner("ServiceAccount", "a", a))
			c.delete(accountsPath+"/a", "?"+option)
			c.gone(accountsPath + "/a")
			c.stays(secretsPath+"/only-a", secretsPath+"/both", accountsPath+"/account")
			for path, want := range map[string]string{secretsPath + "/only-a": "", secretsPath + "/both": "b", accountsPath + "/account": ""} {
				if owners := c.owners(path); owners != want {
					t.Errorf("%s has the owners %q, want %q", path, owners, want)
				}
			}
		})
	}
}

// An object whose owners are gone is deleted as its own finalizers say.
func TestFinalizersOfDependentsCount(t *testing.T) {
	c := startCollector(t)
	a := c.create(accountsPath, "a")
	b := c.createWith(secretsPath, "b", `[orphan]`, "", owner("ServiceAccount", "a", a))
	c.create(secretsPath, "c", owner("Secret", "b", b))
	c.delete(accountsPath+"/a", "")
	c.gone(secretsPath + "/b")
	c.stays(secretsPath + "/c")
	if owners := c.owners(secretsPath + "/c"); owners != "" {
		t.Errorf("it still has the owners %q", owners)
	}
}

func TestCircles(t *testing.T) {
	c := startCollector(t)
	const background, foreground = "?propagationPolicy=Background", "?propagationPolicy=Foreground"
	for name, test := range map[string]struct {
		block   string
		deleted []string
		policy  string
	}{
		"in the background":                 {"", []string{"a"}, background},
		"in the background, blocking":       {blocking, []string{"a"}, background},
		"in the foreground":                 {blocking, []string{"a"}, foreground},
		"in the foreground, not blocking":   {"", []string{"a"}, foreground},
		"two of them in the foreground":     {blocking, []string{"a", "b"}, foreground},
		"all of them in the foreground":     {blocking, []string{"a", "b", "c"}, foreground},
		"all in the foreground, unblocking": {"", []string{"c", "b", "a"}, foreground},
	} {
		t.Run(name, func(t *testing.T) {
			c := collected{c.Caller, t}
			a := c.create(secretsPath, "a")
			b := c.create(secretsPath, "b", owner("Secret", "a", a, test.block))
			d := c.create(secretsPath, "c", owner("Secret", "b", b, test.block))
			c.patch(secretsPath+"/a", fmt.Sprintf(`{metadata: {ownerReferences: [%s]}}`, owner("Secret", "c", d, test.block)))
			for _, name := range test.deleted {
				if _, status := c.Do("DELETE "+secretsPath+"/"+name+test.policy, ""); status != 200 && status != 404 {
					t.Fatalf("deleting %s: %d", name, status)
				}
			}
			c.gone(secretsPath+"/a", secretsPath+"/b", secretsPath+"/c")
		})
	}
}

func TestObjectThatOwnsItself(t *testing.T) {
	c := startCollector(t)
	for _, policy := range []string{"Background", "Foreground", "Orphan"} {
		uid := c.create(secretsPath, "a")
		c.patch(secretsPath+"/a", fmt.Sprintf(`{metadata: {ownerReferences: [%s]}}`, owner("Secret", "a", uid, blocking)))
		c.stays(secretsPath + "/a")
		c.delete(secretsPath+"/a", "?propagationPolicy="+policy)
		c.gone(secretsPath + "/a")
	}
}

// An owner that is deleted and made anew under its name is another object.
func TestOwnerThatIsMadeAnew(t *testing.T) {
	c := startCollector(t)
	uid := c.create(accountsPath, "app")
	c.create(secretsPath, "key", owner("ServiceAccount", "app", uid))
	c.delete(accountsPath+"/app", "")
	c.create(accountsPath, "app")
	c.gone(secretsPath + "/key")
	c.stays(accountsPath + "/app")
}

func TestOwnerThatIsNamedLater(t *testing.T) {
	c := startCollector(t)
	c.create(secretsPath, "key")
	c.stays(secretsPath + "/key")
	c.patch(secretsPath+"/key", `{metadata: {ownerReferences: [{apiVersion: v1, kind: Pod, name: web, uid: "1"}]}}`)
	c.gone(secretsPath + "/key")
}

func TestNamespaceInTheForeground(t *testing.T) {
	c := startCollector(t, "--controllers=namespace-controller")
	c.create(namespacesPath, "team")
	path := namespacesPath + "/team/secrets"
	uid := c.create(path, "a")
	c.create(path, "b", owner("Secret", "a", uid, blocking))
	c.createWith(path, "c", `[foregroundDeletion]`, "")
	c.delete(namespacesPath+"/team", "?propagationPolicy=Foreground")
	c.gone(namespacesPath + "/team")
}

// Objects that lost their owner while no collector ran are collected by the next one.
func TestObjectsLeftBehind(t *testing.T) {
	data := "--data-dir=" + t.TempDir()
	server := testserver.Start(t, "--controllers=", data)
	c := collected{server.Caller(server.AdminConfig()), t}
	uid := c.create(accountsPath, "a")
	c.create(secretsPath, "of-a", owner("ServiceAccount", "a", uid))
	c.delete(accountsPath+"/a", "")
	kept := c.create(accountsPath, "b")
	c.create(secretsPath, "of-b", owner("ServiceAccount", "b", kept, blocking))
	c.create(secretsPath, "also-of-b", owner("ServiceAccount", "b", kept))
	c.delete(accountsPath+"/b", "?propagationPolicy=Foreground")
	orphaning := c.create(accountsPath, "c")
	c.create(secretsPath, "of-c", owner("ServiceAccount", "c", orphaning))
	c.delete(accountsPath+"/c", "?propagationPolicy=Orphan")
	c.Run(testserver.Step{Request: "GET " + secretsPath + "/of-a", Status: 200})
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	c = startCollector(t, data)
	c.gone(secretsPath+"/of-a", secretsPath+"/of-b", secretsPath+"/also-of-b", accountsPath+"/b", accountsPath+"/c")
	c.stays(secretsPath + "/of-c")
}

// TestEveryKindIsCollected has an object of each kind that can be deleted name an owner that isn't there.
func TestEveryKindIsCollected(t *testing.T) {
	server := testserver.Start(t, "--controllers=garbage-collector-controller", "--openshift-api")
	c := collected{server.Caller(server.AdminConfig()), t}
	lists, err := server.Admin().Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	role := `roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}`
	token := `clientName: client, userName: user, userUID: "1", scopes: ["user:full"], expiresIn: 600, redirectURI: "http://localhost"`
	fields := map[string]string{
		"pods":                      `spec: {containers: [{name: c, image: i}]}`,
		"rolebindings":              role,
		"clusterrolebindings":       role,
		"oauthaccesstokens":         token,
		"oauthauthorizetokens":      token,
		"oauthclients":              `grantMethod: auto, redirectURIs: ["http://localhost"]`,
		"oauthclientauthorizations": `clientName: client, userName: user, userUID: "1", scopes: ["user:full"]`,
		"identities":                `providerName: p, providerUserName: u, user: {}`,
	}
	names := map[string]string{
		"oauthaccesstokens":         "sha256~oXKhkhdEVYYz5bDFIBNrjyT4Vl8EuKkD1jTfVWLgv2o",
		"oauthauthorizetokens":      "sha256~oXKhkhdEVYYz5bDFIBNrjyT4Vl8EuKkD1jTfVWLgv2o",
		"oauthclientauthorizations": "user:client",
		"identities":                "p:u",
	}
	c.Run(testserver.Step{
		Request: "POST /apis/oauth.openshift.io/v1/oauthclients", Status: 201,
		Body: `{metadata: {name: client}, grantMethod: auto, redirectURIs: ["http://localhost"]}`,
	})
	for _, list := range lists {
		for _, resource := range list.APIResources {
			// Users' own tokens are the tokens of oauthaccesstokens.
			if !slices.Contains(resource.Verbs, "watch") || !slices.Contains(resource.Verbs, "delete") || resource.Name == "useroauthaccesstokens" {
				continue
			}
			path := "/apis/" + list.GroupVersion + "/"
			if list.GroupVersion == "v1" {
				path = "/api/v1/"
			}
			if resource.Namespaced {
				path += "namespaces/default/"
			}
			name, ok := names[resource.Name]
			if !ok {
				name = "x"
			}
			more := fields[resource.Name]
			if more != "" {
				more = ", " + more
			}
			c.createWith(path+resource.Name, name, `[]`, more, `{apiVersion: v1, kind: Node, name: never, uid: u}`)
			c.eventually(resource.Name+" is collected", func() (any, bool) {
				answer, status := c.Do("GET "+path+resource.Name+"/"+name, "")
				return answer, status == 404 || status == 200 && metadata(answer)["deletionTimestamp"] != nil
			})
		}
	}
}

// A token ends with the pod that it is bound to, and the pod with its owner.
func TestTokensEndWithTheOwnerOfTheirPod(t *testing.T) {
	c := startCollector(t)
	c.create(accountsPath, "app")
	owned := c.create(accountsPath, "owner")
	pod := c.createWith(podsPath, "pod", `[]`, `, spec: {containers: [{name: c, image: i}], serviceAccountName: app}`,
		owner("ServiceAccount", "owner", owned))
	answer, status := c.Do("POST "+accountsPath+"/app/token",
		fmt.Sprintf(`{spec: {boundObjectRef: {apiVersion: v1, kind: Pod, name: pod, uid: %q}}}`, pod))
	if status != 201 {
		t.Fatalf("token: %d", status)
	}
	token := answer.(map[string]any)["status"].(map[string]any)["token"].(string)
	authenticated := func() any {
		review, _ := c.Do("POST /apis/authentication.k8s.io/v1/tokenreviews", fmt.Sprintf(`{spec: {token: %q}}`, token))
		return review.(map[string]any)["status"].(map[string]any)["authenticated"]
	}
	if authenticated() != true {
		t.Fatal("the token is not good")
	}
	c.delete(accountsPath+"/owner", "")
	c.gone(podsPath + "/pod")
	if authenticated() == true {
		t.Error("the token outlives its pod")
	}
}
