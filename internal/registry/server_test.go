package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/compatibility"
	restclient "k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/scheme"
	definitions "github.com/mintmark/mintmark/internal/scheme/openapi"
)

// server is the generic server over a store of its own, with the core resources and nothing else: everybody may do
// everything.
type server struct {
	t   *testing.T
	url string
}

func newServer(t *testing.T) server {
	t.Helper()
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	resources, err := registry.Core(storageIn(member.Endpoint()))
	if err != nil {
		t.Fatal(err)
	}
	config := genericapiserver.NewConfig(scheme.Codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.ExternalAddress = "localhost:443"
	config.LoopbackClientConfig = &restclient.Config{}
	config.LegacyAPIGroupPrefixes = sets.NewString("/api")
	config.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	config.Authentication.Authenticator = authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{Name: "someone"}}, true, nil
	})
	namer := openapi.NewDefinitionNamer(scheme.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions.GetOpenAPIDefinitions, namer)
	config.EnableMetrics, config.EnableProfiling = false, false
	generic, err := config.Complete(nil).New("test", genericapiserver.NewEmptyDelegate())
	if err != nil {
		t.Fatal(err)
	}
	group := genericapiserver.NewDefaultAPIGroupInfo("", scheme.Scheme, scheme.ParameterCodec, scheme.Codecs)
	group.VersionedResourcesStorageMap = map[string]map[string]rest.Storage{"v1": resources}
	if err := generic.InstallLegacyAPIGroup("/api", &group); err != nil {
		t.Fatal(err)
	}
	generic.PrepareRun()
	t.Cleanup(generic.Destroy)
	front := httptest.NewServer(generic.Handler)
	t.Cleanup(front.Close)
	return server{t, front.URL}
}

// storageIn keeps every resource in the etcd at endpoint, behind the library's cache.
type storageIn string

func (endpoint storageIn) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	config := storagebackend.NewDefaultConfig("/registry", scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion))
	config.Transport.ServerList = []string{string(endpoint)}
	return generic.RESTOptions{
		StorageConfig:           config.ForResource(resource),
		Decorator:               genericregistry.StorageWithCacher(),
		DeleteCollectionWorkers: 1,
		ResourcePrefix:          resource.Resource,
	}, nil
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
	response, err := http.DefaultClient.Do(r)
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
