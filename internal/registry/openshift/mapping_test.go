package openshift_test

import (
	"sync"
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

const mappings = "/apis/user.openshift.io/v1/useridentitymappings"

// newPeople starts a server with the users ada and bob and the identity p:ada, and returns its administrator and the uids
// of the three by their names.
func newPeople(t *testing.T) (testserver.Caller, map[string]string) {
	t.Helper()
	s := administrator(t)
	uids := map[string]string{}
	for _, create := range []struct{ name, path, body string }{
		{"ada", users, `metadata: {name: ada}`},
		{"bob", users, `metadata: {name: bob}`},
		{"p:ada", identities, `{providerName: p, providerUserName: ada}`},
	} {
		answer, status := s.Do("POST "+create.path, create.body)
		if status != 201 {
			t.Fatalf("%s: status %d", create.name, status)
		}
		uids[create.name] = answer.(map[string]any)["metadata"].(map[string]any)["uid"].(string)
	}
	return s, uids
}

// version returns the resource version of an object.
func version(s testserver.Caller, path string) string {
	answer, _ := s.Do("GET "+path, "")
	return answer.(map[string]any)["metadata"].(map[string]any)["resourceVersion"].(string)
}

// What is asked for without being meant changes neither of the objects behind a mapping.
func TestMappingDryRun(t *testing.T) {
	s, _ := newPeople(t)
	unmapped := []testserver.Step{
		{Request: "GET " + mappings + "/p:ada", Status: 404},
		{Request: "GET " + users + "/ada", Status: 200, Want: `identities: null`},
		{Request: "GET " + identities + "/p:ada", Status: 200, Want: `user: {name: null}`},
	}
	const body = `{metadata: {name: "p:ada"}, identity: {name: "p:ada"}, user: {name: ada}}`
	s.Run(testserver.Step{Request: "POST " + mappings + "?dryRun=All", Body: body, Status: 201, Want: `{metadata: {name: "p:ada"}, user: {name: ada}}`})
	s.Run(unmapped...)
	s.Run(testserver.Step{Request: "PUT " + mappings + "/p:ada?dryRun=All", Body: body, Status: 201, Want: `user: {name: ada}`})
	s.Run(unmapped...)
	s.Run(
		testserver.Step{Request: "POST " + mappings, Body: body, Status: 201},
		testserver.Step{Request: "DELETE " + mappings + "/p:ada?dryRun=All", Status: 200, Want: `status: Success`},
		testserver.Step{
			Request: "PATCH " + mappings + "/p:ada?dryRun=All", Headers: []string{mergePatch}, Body: `user: {name: bob}`, Status: 200,
			Want: `user: {name: bob}`,
		},
		testserver.Step{Request: "GET " + mappings + "/p:ada", Status: 200, Want: `user: {name: ada}`},
		testserver.Step{Request: "GET " + users + "/ada", Status: 200, Want: `identities: ["p:ada"]`},
		testserver.Step{Request: "GET " + users + "/bob", Status: 200, Want: `identities: null`},
	)
}

func TestMappingPatch(t *testing.T) {
	s, uids := newPeople(t)
	patch := func(status int, body, want string) testserver.Step {
		return testserver.Step{Request: "PATCH " + mappings + "/p:ada", Headers: []string{mergePatch}, Body: body, Status: status, Want: want}
	}
	s.Run(
		patch(404, `user: {name: ada}`, `reason: NotFound`),
		testserver.Step{Request: "POST " + mappings, Body: `{identity: {name: "p:ada"}, user: {name: ada}}`, Status: 201},
		patch(200, `user: {name: bob}`, `{metadata: {name: "p:ada", uid: `+uids["p:ada"]+`}, user: {name: bob, uid: `+uids["bob"]+`}}`),
		testserver.Step{Request: "GET " + mappings + "/p:ada", Status: 200, Want: `user: {name: bob, uid: ` + uids["bob"] + `}`},
		testserver.Step{Request: "GET " + users + "/ada", Status: 200, Want: `identities: null`},
		testserver.Step{Request: "GET " + users + "/bob", Status: 200, Want: `identities: ["p:ada"]`},
		testserver.Step{
			Request: "GET " + identities + "/p:ada", Status: 200, Want: `user: {name: bob, uid: ` + uids["bob"] + `}`,
		},
		patch(422, `user: {name: eva}`, `details: {causes: [{field: user.name, message: 'Invalid value: "eva": referenced user does not exist'}]}`),
		patch(422, `user: {name: a/b}`, `details: {causes: [{field: user.name, message: 'Invalid value: "a/b": referenced user does not exist'}]}`),
		patch(422, `user: {name: null}`, `details: {causes: [{field: user.name}]}`),
		patch(422, `user: {name: ada, uid: other}`, `details: {causes: [{field: user.uid}]}`),
		patch(422, `identity: {name: "p:bob"}`, `details: {causes: [{field: identity.name}]}`),
		patch(422, `identity: {uid: other}`, `details: {causes: [{field: identity.uid}]}`),
		patch(409, `metadata: {resourceVersion: "1"}`, `reason: Conflict`),
		patch(409, `{metadata: {resourceVersion: "1"}, user: {name: ada}}`, `reason: Conflict`),
		testserver.Step{Request: "GET " + mappings + "/p:ada", Status: 200, Want: `user: {name: bob}`},
		testserver.Step{
			Request: "PATCH " + mappings + "/p:ada?fieldManager=a&force=true", Headers: []string{applyPatch}, Status: 200,
			Body: `{apiVersion: user.openshift.io/v1, kind: UserIdentityMapping, metadata: {name: "p:ada"}, identity: {name: "p:ada"}, user: {name: ada}}`,
			Want: `user: {name: ada, uid: ` + uids["ada"] + `}`,
		},
	)
}

func TestMappingPut(t *testing.T) {
	s, uids := newPeople(t)
	put := func(status int, metadata, user, want string) testserver.Step {
		return testserver.Step{
			Request: "PUT " + mappings + "/p:ada", Status: status, Want: want,
			Body: `{metadata: {name: "p:ada", ` + metadata + `}, identity: {name: "p:ada"}, user: {name: ` + user + `}}`,
		}
	}
	s.Run(
		put(409, `uid: other`, "ada", `reason: Conflict`),
		put(409, `resourceVersion: "1"`, "ada", `reason: Conflict`),
		put(422, ``, "eva", `details: {causes: [{field: user.name}]}`),
		put(201, ``, "ada", `{metadata: {uid: `+uids["p:ada"]+`}, user: {name: ada, uid: `+uids["ada"]+`}}`),
		put(422, ``, "bob", `details: {causes: [{field: metadata.resourceVersion}, {field: metadata.resourceVersion}]}`),
	)
	before := version(s, mappings+"/p:ada")
	s.Run(put(200, `resourceVersion: "`+before+`"`, "ada", `metadata: {resourceVersion: "`+before+`"}`))
	if after := version(s, identities+"/p:ada"); after != before {
		t.Errorf("a mapping to the same user was written: version %s after %s", after, before)
	}
	s.Run(put(200, `resourceVersion: "`+before+`"`, "bob", `user: {name: bob, uid: `+uids["bob"]+`}`))
	s.Run(
		put(409, `resourceVersion: "`+before+`"`, "ada",
			`message: 'Operation cannot be fulfilled on useridentitymapping.user.openshift.io "p:ada": the resource was updated to `+version(s, identities+"/p:ada")+`'`),
		testserver.Step{
			Request: "PUT " + mappings + "/p:eva", Body: `{metadata: {name: "p:eva"}, identity: {name: "p:eva"}, user: {name: ada}}`, Status: 422,
			Want: `details: {causes: [{field: identity.name}]}`,
		},
	)
}

func TestMappingReferences(t *testing.T) {
	s, _ := newPeople(t)
	s.Run(
		testserver.Step{
			Request: "POST " + mappings, Body: `{}`, Status: 422,
			Want: `details: {causes: [{field: metadata.name}, {field: identity.name}, {field: user.name}]}`,
		},
		testserver.Step{
			Request: "POST " + mappings, Body: `{identity: {name: "p:ada", uid: other}, user: {name: ada}}`, Status: 422,
			Want: `details: {causes: [{field: identity.uid}]}`,
		},
		testserver.Step{
			Request: "POST " + mappings, Body: `{identity: {name: "p:ada"}, user: {name: ada, uid: other}}`, Status: 422,
			Want: `details: {causes: [{field: user.uid}]}`,
		},
		testserver.Step{Request: "POST " + mappings, Body: `{identity: {name: "p:ada"}, user: {name: ada}}`, Status: 201},
		testserver.Step{Request: "POST " + mappings, Body: `{identity: {name: "p:ada"}, user: {name: bob}}`, Status: 409, Want: `reason: AlreadyExists`},
		testserver.Step{Request: "DELETE " + mappings + "/p:ada", Body: `preconditions: {uid: other}`, Status: 409, Want: `reason: Conflict`},
		testserver.Step{Request: "DELETE " + mappings + "/p:ada", Body: `preconditions: {resourceVersion: "1"}`, Status: 409},
		testserver.Step{Request: "GET " + mappings + "/p:ada", Status: 200},
		// A user made anew is another user, who has to be mapped again.
		testserver.Step{Request: "DELETE " + users + "/ada", Status: 200},
		testserver.Step{Request: "GET " + mappings + "/p:ada", Status: 404},
		testserver.Step{Request: "POST " + users, Body: `{metadata: {name: ada}, identities: ["p:ada"]}`, Status: 201},
		testserver.Step{Request: "GET " + mappings + "/p:ada", Status: 404},
		testserver.Step{Request: "POST " + mappings, Body: `{identity: {name: "p:ada"}, user: {name: ada}}`, Status: 201},
		testserver.Step{Request: "GET " + mappings + "/p:ada", Status: 200},
		testserver.Step{Request: "GET " + users + "/ada", Status: 200, Want: `identities: ["p:ada"]`},
	)
}

// Of many who map an identity at once, one does.
func TestMappingRace(t *testing.T) {
	s, _ := newPeople(t)
	names := []string{"ada", "bob", "cleo", "dan", "eva", "finn"}
	for _, name := range names[2:] {
		s.Run(testserver.Step{Request: "POST " + users, Body: `metadata: {name: ` + name + `}`, Status: 201})
	}
	statuses := make([]int, len(names))
	var running sync.WaitGroup
	for i, name := range names {
		running.Go(func() { _, statuses[i] = s.Do("POST "+mappings, `{identity: {name: "p:ada"}, user: {name: `+name+`}}`) })
	}
	running.Wait()
	winner := ""
	for i, status := range statuses {
		switch {
		case status == 201 && winner == "":
			winner = names[i]
		case status != 409:
			t.Errorf("%s: status %d after %q", names[i], status, winner)
		}
	}
	s.Run(testserver.Step{Request: "GET " + mappings + "/p:ada", Status: 200, Want: `user: {name: ` + winner + `}`})
}
