package controller_test

import (
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

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
		"certificatesigningrequests": fmt.Sprintf("spec: {request: %s, signerName: example.com/x, usages: [client auth]}",
			base64.StdEncoding.EncodeToString(signingRequest(t, newKey(t), pkix.Name{CommonName: "x"}))),
		"trustedissuers": `spec: {url: "https://issuer.example", audiences: [vault], kubernetes: {}}`,
		"identities":     `providerName: p, providerUserName: u, user: {}`,
	}
	names := map[string]string{
		"oauthaccesstokens":         "sha256~oXKhkhdEVYYz5bDFIBNrjyT4Vl8EuKkD1jTfVWLgv2o",
		"oauthauthorizetokens":      "sha256~oXKhkhdEVYYz5bDFIBNrjyT4Vl8EuKkD1jTfVWLgv2o",
		"oauthclientauthorizations": "user:client",
		"identities":                "p:u",
		"signingkeys":               "es256-2", // the name is the server's
	}
	c.Run(testserver.Step{
		Request: "POST /apis/oauth.openshift.io/v1/oauthclients", Status: 201,
		Body: `{metadata: {name: client}, grantMethod: auto, redirectURIs: ["http://localhost"]}`,
	})
	for _, list := range lists {
		for _, resource := range list.APIResources {
			if resource.Name == "tokenrevocations" || resource.Name == "events" {
				continue // the one have no owners, the others are left to their time to live
			}
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
	authenticated := func() bool {
		review, _ := c.Do("POST /apis/authentication.k8s.io/v1/tokenreviews", fmt.Sprintf(`{spec: {token: %q}}`, token))
		yes, _ := review.(map[string]any)["status"].(map[string]any)["authenticated"].(bool)
		return yes
	}
	if !authenticated() {
		t.Fatal("the token is not good")
	}
	c.delete(accountsPath+"/owner", "")
	c.gone(podsPath + "/pod")
	if authenticated() {
		t.Error("the token outlives its pod")
	}
}
