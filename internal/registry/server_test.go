package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/mintmark/mintmark/internal/testserver"
)

// server is a whole server without controllers, spoken to by its administrator.
type server struct {
	t      *testing.T
	url    string
	client *http.Client
}

// newServer starts a server and makes namespaces in it.
func newServer(t *testing.T, namespaces ...string) server {
	t.Helper()
	t.Parallel()
	running := testserver.Start(t, "--controllers=")
	client, err := rest.HTTPClientFor(running.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	s := server{t, running.URL, client}
	for _, name := range namespaces {
		s.run(step{request: "POST /api/v1/namespaces", body: `metadata: {name: ` + name + `}`, status: 201})
	}
	return s
}

// step is a request and what must come back. Bodies are YAML; the answer may hold more than want, and null there says
// that a member is missing.
type step struct {
	request string
	headers []string
	body    string
	status  int
	want    string
}

// run takes the steps one after the other.
func (s server) run(steps ...step) {
	s.t.Helper()
	for _, step := range steps {
		got, status := s.do(step.request, step.body, step.headers...)
		if status != step.status {
			s.t.Errorf("%s: status %d, want %d: %v", step.request, status, step.status, got)
			continue
		}
		if step.want == "" {
			continue
		}
		var want any
		if err := yaml.Unmarshal([]byte(step.want), &want); err != nil {
			s.t.Fatalf("%v in:\n%s", err, step.want)
		}
		for _, difference := range differences("", want, got) {
			s.t.Errorf("%s: %s", step.request, difference)
		}
	}
}

// do sends a request, such as "GET /api/v1/pods".
func (s server) do(request, body string, headers ...string) (answer any, status int) {
	s.t.Helper()
	var data []byte
	if body != "" {
		var err error
		if data, err = yaml.YAMLToJSON([]byte(body)); err != nil {
			s.t.Fatalf("%v in:\n%s", err, body)
		}
	}
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		s.t.Fatalf("%s: %v in:\n%s", request, err, content)
	}
	return answer, response.StatusCode
}

// differences says where got lacks something of want.
func differences(path string, want, got any) []string {
	var found []string
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %v, want an object", path, got)}
		}
		for name, value := range want {
			found = append(found, differences(path+"."+name, value, object[name])...)
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return []string{fmt.Sprintf("%s is %v, want %d elements", path, got, len(want))}
		}
		for i, value := range want {
			found = append(found, differences(fmt.Sprintf("%s[%d]", path, i), value, list[i])...)
		}
	default:
		if want != got {
			return []string{fmt.Sprintf("%s is %v, want %v", path, got, want)}
		}
	}
	return found
}

func TestDifferences(t *testing.T) {
	got := map[string]any{"a": 1.0, "b": []any{"x"}, "c": map[string]any{"d": true}}
	for _, test := range []struct {
		want string
		same bool
	}{
		{`{}`, true},
		{`{a: 1, b: [x], c: {d: true}}`, true},
		{`{z: null}`, true},
		{`{a: 2}`, false},
		{`{a: null}`, false},
		{`{b: []}`, false},
		{`{b: [y]}`, false},
		{`{c: {e: true}}`, false},
		{`[]`, false},
	} {
		var want any
		if err := yaml.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if found := differences("", want, any(got)); (len(found) == 0) != test.same {
			t.Errorf("%s: differences %q", test.want, found)
		}
	}
}
