package controller_test

import (
	"encoding/json"
	"fmt"
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
