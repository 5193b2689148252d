package conformance

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// playAgainst plays steps, written as JSON, against a handler.
func playAgainst(t *testing.T, handler http.HandlerFunc, steps string) []Failure {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	sc, err := parse([]byte(`{"name":"s","shows":"A test.","noNamespace":true,"steps":` + steps + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return Play(t.Context(), newTarget(server), sc)
}

func newTarget(server *httptest.Server) *Target {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &Target{URL: server.URL, RootCAs: ca, AdminToken: "admin-secret", AliceToken: "alice-secret"}
}

// answers is a handler that always says the same.
func answers(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// problems joins what is wrong with all steps.
func problems(failures []Failure) string {
	var all []string
	for _, f := range failures {
		all = append(all, f.Problems...)
	}
	return strings.Join(all, "\n")
}

// Each answer that is not the recorded one is noticed, and the report says where.
func TestWrongAnswersAreNoticed(t *testing.T) {
	const object = `"want":{"status":200,"contentType":"application/json","body":{"a":1,"list":[{"name":"x","n":1}]}}`
	const text = `"want":{"status":200,"contentType":"text/plain","text":"one\ntwo\n"}`
	right := answers(200, "application/json", `{"a":1,"list":[{"name":"x","n":1}]}`)
	for name, c := range map[string]struct {
		step    string
		handler http.HandlerFunc
		problem string // none: the answer is right
	}{
		"right":            {object, right, ""},
		"status":           {object, answers(201, "application/json", `{"a":1,"list":[{"name":"x","n":1}]}`), "status: want 200, got 201"},
		"content type":     {object, answers(200, "text/json", `{"a":1,"list":[{"name":"x","n":1}]}`), `content type: want "application/json", got "text/json"`},
		"value":            {object, answers(200, "application/json", `{"a":2,"list":[{"name":"x","n":1}]}`), "/a: want 1, got 2"},
		"type":             {object, answers(200, "application/json", `{"a":"1","list":[{"name":"x","n":1}]}`), `/a: want 1, got "1"`},
		"missing member":   {object, answers(200, "application/json", `{"list":[{"name":"x","n":1}]}`), "/a: want 1, got no such member"},
		"further member":   {object, answers(200, "application/json", `{"a":1,"b":0,"list":[{"name":"x","n":1}]}`), "/b: want no such member, got 0"},
		"further element":  {object, answers(200, "application/json", `{"a":1,"list":[{"name":"x","n":1},1]}`), "/list: want 1 elements"},
		"element":          {object, answers(200, "application/json", `{"a":1,"list":[{"name":"x","n":2}]}`), "/list/0/n: want 1, got 2"},
		"no body":          {object, answers(200, "application/json", ``), `body: want {"a":1`},
		"broken body":      {object, answers(200, "application/json", `{"a":`), `text: want "", got "{\"a\":"`},
		"unexpected body":  {`"want":{"status":200,"contentType":"application/json"}`, right, "body: want nothing, got"},
		"contains":         {object + `,"match":"contains"`, answers(200, "application/json", `{"a":1,"b":0,"list":[2,{"name":"x","n":1,"m":1}]}`), ""},
		"does not contain": {object + `,"match":"contains"`, answers(200, "application/json", `{"a":1,"list":[2,{"name":"x","n":2}]}`), "/list/x/n: want 1, got 2"},
		"lacks an element": {object + `,"match":"contains"`, answers(200, "application/json", `{"a":1,"list":[2]}`), `/list: no element like {"n":1,"name":"x"}`},
		"only the status":  {`"want":{"status":200},"match":"status"`, right, ""},
		"wrong status":     {`"want":{"status":200},"match":"status"`, answers(403, "text/plain", "no way"), "answer: no way"},
		"text":             {text, answers(200, "text/plain", "one\ntwo\n"), ""},
		"other text":       {text, answers(200, "text/plain", "one\ntwo"), `text: want "one\ntwo\n", got "one\ntwo"`},
		"lines":            {text + `,"match":"contains"`, answers(200, "text/plain", "two\nthree\none\n"), ""},
		"missing line":     {text + `,"match":"contains"`, answers(200, "text/plain", "two\nthree\n"), `text: no line "one"`},
		"warning": {`"want":{"status":200}`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Warning", `299 - "old"`)
		}, `warnings: want null, got ["299 - \"old\""]`},
		"header": {
			`"compare":["Allow"],"want":{"status":200,"contentType":"application/json","headers":{"Allow":"GET"},"body":{}}`,
			answers(200, "application/json", "{}"), `headers: want {"Allow":"GET"}, got {"Allow":""}`,
		},
		"layout": {
			`"compare":["layout"],"want":{"status":200,"contentType":"application/json","layout":"compact","body":{"a":1}}`,
			answers(200, "application/json", "{\n  \"a\": 1\n}"), `layout: want "compact", got "indented"`,
		},
		"binary":        {`"want":{"status":200,"contentType":"x/pb","magic":"protobuf"}`, answers(200, "x/pb", "k8s\x00abc"), ""},
		"not protobuf":  {`"want":{"status":200,"contentType":"x/pb","magic":"protobuf"}`, answers(200, "x/pb", "\xd9\xd9\xf7abc"), `encoding: want "protobuf", got "cbor"`},
		"YAML":          {object, answers(200, "application/json", "a: 1"), `body: want {"a":1`},
		"YAML as asked": {`"want":{"status":200,"contentType":"application/yaml","body":{"a":1,"on":"yes"}}`, answers(200, "application/yaml", "\"on\": 'yes'\na: 1\n"), ""},
		"YAML but for a boolean": {
			`"want":{"status":200,"contentType":"application/yaml","body":{"a":"yes"}}`,
			answers(200, "application/yaml", "a: yes\n"), `/a: want "yes", got true`,
		},
		"capture": {`"capture":{"x":"/none"},` + object, right, "capture x: nothing at /none"},
		"events": {
			`"events":2,"want":{"status":200,"contentType":"application/json","events":[{"n":1},{"n":2}]}`,
			answers(200, "application/json", `{"n":1}{"n":2}{"n":3}`), "",
		},
		"too few events": {
			`"events":2,"want":{"status":200,"contentType":"application/json","events":[{"n":1},{"n":2}]}`,
			answers(200, "application/json", `{"n":1}`), "events: want 2 elements",
		},
		"other event": {
			`"events":1,"want":{"status":200,"contentType":"application/json","events":[{"n":1}]}`,
			answers(200, "application/json", `{"n":2}`), "events/0/n: want 1, got 2",
		},
		"unknown variable": {`"body":"{{nobody}}","want":{"status":200}`, right, "{{nobody}} has no value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures := playAgainst(t, c.handler, `[{"name":"it","method":"GET","path":"/p",`+c.step+`}]`)
			got := problems(failures)
			if c.problem == "" && got != "" || !strings.Contains(got, c.problem) {
				t.Errorf("want %q, got %q", c.problem, got)
			}
			if len(failures) > 0 && (failures[0].Step != "step 1 (it)" || !strings.HasPrefix(failures[0].Request, "GET /p as admin")) {
				t.Errorf("reported as %s", failures[0])
			}
		})
	}
}

// A server that remembers what was asked of it and says what a story needs.
type recorder struct {
	mu       sync.Mutex
	requests []string
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	line := req.Method + " " + req.URL.RequestURI() + " " + req.Header.Get("Authorization") + " " + string(body)
	r.requests = append(r.requests, strings.TrimSpace(line))
	object := `{"kind":"Namespace","metadata":{"name":"` + strings.Split(line, "/")[min(4, strings.Count(line, "/"))] + `"}}`
	switch {
	case req.Method == http.MethodPost && req.URL.Path == "/api/v1/namespaces":
		name := strings.Split(string(body), `"`)[5]
		writeJSON(w, 201, map[string]any{"metadata": map[string]any{"name": name, "resourceVersion": "1"}})
	case req.Method == http.MethodPost:
		writeJSON(w, 201, map[string]any{"metadata": map[string]any{"name": "made", "resourceVersion": "2"}})
	default:
		_, _ = io.WriteString(w, object)
	}
}

// What a scenario created is deleted in the end, newest first, and the namespace finalized.
func TestCleaningUp(t *testing.T) {
	r := &recorder{}
	server := httptest.NewTLSServer(r)
	defer server.Close()
	sc, err := parse([]byte(`{"name":"s","shows":"A test.","steps":[
		{"method":"POST","path":"/things?dryRun=All","match":"status","want":{"status":201}},
		{"as":"alice","method":"POST","path":"/things?x=y","body":{"ns":"{{ns}}"},"match":"status","want":{"status":201}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if failures := Play(t.Context(), newTarget(server), sc); len(failures) > 0 {
		t.Fatal(failures)
	}
	ns := strings.Split(r.requests[0], `"`)[5]
	want := []string{
		`POST /api/v1/namespaces Bearer admin-secret {"metadata":{"name":"NS"}}`,
		`POST /things?dryRun=All Bearer admin-secret`,
		`POST /things?x=y Bearer alice-secret {"ns":"NS"}`,
		`DELETE /things/made?gracePeriodSeconds=0&propagationPolicy=Background Bearer admin-secret`,
		`DELETE /api/v1/namespaces/NS?gracePeriodSeconds=0&propagationPolicy=Background Bearer admin-secret`,
		`GET /api/v1/namespaces/NS Bearer admin-secret`,
		`PUT /api/v1/namespaces/NS/finalize Bearer admin-secret`,
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "NS", ns)
	}
	got := slices.Clone(r.requests)
	last := len(got) - 1
	if !strings.Contains(got[last], `"spec":{"finalizers":[]}`) {
		t.Errorf("the namespace was not finalized: %s", got[last])
	}
	got[last], _, _ = strings.Cut(got[last], " {")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A scenario whose namespace can't be made says so and goes no further.
func TestNoNamespace(t *testing.T) {
	server := httptest.NewTLSServer(answers(403, "text/plain", "not today"))
	defer server.Close()
	sc := &Scenario{Name: "s", Steps: []Step{{Method: "GET", Path: "/", Want: &Want{Status: 403}}}}
	failures := Play(t.Context(), newTarget(server), sc)
	if len(failures) != 1 || !strings.Contains(problems(failures), "answered 403: not today") {
		t.Error(failures)
	}
}

// A request is repeated until its answer is right, with the same placeholders each time, but not after a failure.
func TestEventually(t *testing.T) {
	attempts := 0
	flaky := func(w http.ResponseWriter, _ *http.Request) {
		attempts++
		code := http.StatusOK
		if attempts == 1 {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, map[string]string{"id": fmt.Sprintf("00000001-0000-4000-8000-%012d", attempts)})
	}
	const step = `{"method":"GET","path":"/","eventually":{"seconds":20,"until":{"status":200}},
		"want":{"status":200,"contentType":"application/json","body":{"id":"<uid:1>"}}}`
	if failures := playAgainst(t, flaky, "["+step+"]"); len(failures) > 0 || attempts != 2 {
		t.Error(attempts, failures)
	}
	attempts = 0
	wrong := `{"method":"GET","path":"/","match":"status","want":{"status":404}}`
	if failures := playAgainst(t, func(w http.ResponseWriter, _ *http.Request) {
		attempts++
		w.WriteHeader(http.StatusTeapot)
	}, "["+wrong+","+step+"]"); len(failures) != 2 || attempts != 2 {
		t.Error(attempts, failures)
	}
}

// The end of the context ends waiting.
func TestCancelled(t *testing.T) {
	server := httptest.NewTLSServer(answers(500, "text/plain", ""))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sc := &Scenario{NoNamespace: true, Steps: []Step{{Wait: 3600, Method: "GET", Path: "/", Want: &Want{Status: 500}}}}
	if failures := Play(ctx, newTarget(server), sc); !strings.Contains(problems(failures), context.Canceled.Error()) {
		t.Error(failures)
	}
}

// The server's certificate is verified.
func TestStrangeServer(t *testing.T) {
	server := httptest.NewTLSServer(answers(200, "text/plain", ""))
	defer server.Close()
	target := newTarget(server)
	target.RootCAs = nil
	sc := &Scenario{NoNamespace: true, Steps: []Step{{Method: "GET", Path: "/", Want: &Want{Status: 200}}}}
	if got := problems(Play(t.Context(), target, sc)); !strings.Contains(got, "certificate") {
		t.Errorf("got %q", got)
	}
}
