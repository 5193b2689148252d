package controller_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

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
