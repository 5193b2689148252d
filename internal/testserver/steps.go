package testserver

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
)

// Caller sends HTTP requests to a server and returns the answers as they are.
type Caller struct {
	t      testing.TB
	url    string
	client *http.Client
}

// Caller returns the caller with the credentials of a connection, such as AdminConfig.
func (s *Server) Caller(config *rest.Config) Caller {
	s.t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		s.t.Fatal(err)
	}
	return Caller{s.t, s.URL, client}
}

// Step is a request and what must come back. Bodies are YAML; the answer may hold more than Want, and null there says
// that a member is missing.
type Step struct {
	// Request is a method and a path, such as "GET /api/v1/pods".
	Request string
	Headers []string
	Body    string
	Status  int
	Want    string
}

// Run takes the steps one after the other.
func (c Caller) Run(steps ...Step) {
	c.t.Helper()
	for _, step := range steps {
		got, status := c.Do(step.Request, step.Body, step.Headers...)
		if status != step.Status {
			c.t.Errorf("%s: status %d, want %d: %v", step.Request, status, step.Status, got)
			continue
		}
		if step.Want == "" {
			continue
		}
		var want any
		if err := yaml.Unmarshal([]byte(step.Want), &want); err != nil {
			c.t.Fatalf("%v in:\n%s", err, step.Want)
		}
		for _, difference := range differences("", want, got) {
			c.t.Errorf("%s: %s", step.Request, difference)
		}
	}
}

// Do sends a request, such as "GET /api/v1/pods".
func (c Caller) Do(request, body string, headers ...string) (answer any, status int) {
	c.t.Helper()
	var data []byte
	if body != "" {
		var err error
		if data, err = yaml.YAMLToJSON([]byte(body)); err != nil {
			c.t.Fatalf("%v in:\n%s", err, body)
		}
	}
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewReader(data))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	response, err := c.client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		c.t.Fatalf("%s: %v in:\n%s", request, err, content)
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
