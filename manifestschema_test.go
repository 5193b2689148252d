package mintmark_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"
)

// The modules that carry published schemas. They are data here: no code of theirs is compiled, so they are in no go.mod.
const (
	// kubernetesSchemas has the OpenAPI documents of Kubernetes 1.30, the newest that a Go module carries. Fields that came later are
	// known to the types that TestManifests decodes into.
	kubernetesSchemas    = "sigs.k8s.io/kubectl-validate@v0.0.4"
	kubernetesSchemasSum = "h1:tGKuv0awYHn11Cb6KPsZKxUmHgavF46K3NvVH0Nse9U="
	kubernetesSchemasDir = "pkg/openapiclient/builtins/1.30"
	// operatorSchemas has the CustomResourceDefinitions of the Prometheus operator.
	operatorSchemas    = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	operatorSchemasSum = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
	operatorSchemasDir = "example/prometheus-operator-crd"
)

// TestManifestSchemas validates each manifest against the published schema of its kind.
func TestManifestSchemas(t *testing.T) {
	schemas := newManifestSchemas(t)
	validated := 0
	err := filepath.WalkDir(manifestDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" || filepath.Base(path) == "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, problem := range schemas.check(text) {
			t.Errorf("%s: %s", path, problem)
		}
		validated++
		return nil
	})
	if err != nil || validated < 9 {
		t.Errorf("%d manifests: %v", validated, err)
	}
}

// TestManifestSchemasSee shows that the test above can fail.
func TestManifestSchemasSee(t *testing.T) {
	schemas := newManifestSchemas(t)
	for _, test := range []struct{ file, old, new, want string }{
		{"embedded/statefulset.yaml", "serviceName:", "servicename:", "servicename"},
		{"embedded/statefulset.yaml", "  selector:\n    matchLabels: {app.kubernetes.io/name: mintmark}\n", "", "spec.selector"},
		{"embedded/statefulset.yaml", "replicas: 1", "replicas: one", "spec.replicas"},
		{"embedded/statefulset.yaml", "periodSeconds: 5", "periodseconds: 5", "periodseconds"},
		{"external-etcd/poddisruptionbudget.yaml", "maxUnavailable: 1", "maxUnavailable: [1]", "spec.maxUnavailable"},
		{"base/service.yaml", "port: 443", "", "spec.ports[0].port"},
		{"prometheus-operator/servicemonitor.yaml", "scheme: https", "scheme: HTTPS", "spec.endpoints[0].scheme"},
		{"prometheus-operator/servicemonitor.yaml", "interval: 30s", "interval: 30 s", "spec.endpoints[0].interval"},
		{"prometheus-operator/servicemonitor.yaml", "serverName:", "servername:", "servername"},
		{"prometheus-operator/prometheusrule.yaml", "- alert: MintmarkDown\n      expr:", "- alert: MintmarkDown\n      expression:", "expr"},
	} {
		text, err := os.ReadFile(filepath.Join(manifestDir, test.file))
		if err != nil {
			t.Fatal(err)
		}
		broken := strings.Replace(string(text), test.old, test.new, 1)
		problems := schemas.check([]byte(broken))
		if broken == string(text) || !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, test.want) }) {
			t.Errorf("%s with %q: %q, and nothing about %s", test.file, test.new, problems, test.want)
		}
	}
}

// manifestSchemas are the directories with the schemas, and those that were read.
type manifestSchemas struct {
	kubernetes, operator string
	read                 map[schema.GroupVersionKind]*spec.Schema
}

func newManifestSchemas(t *testing.T) manifestSchemas {
	t.Helper()
	return manifestSchemas{
		kubernetes: filepath.Join(downloaded(t, kubernetesSchemas, kubernetesSchemasSum), kubernetesSchemasDir),
		operator:   filepath.Join(downloaded(t, operatorSchemas, operatorSchemasSum), operatorSchemasDir),
		read:       map[schema.GroupVersionKind]*spec.Schema{},
	}
}

// downloaded returns the directory of a module.
func downloaded(t *testing.T, module, sum string) string {
	t.Helper()
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	download.Dir = t.TempDir() // outside of this module, whose go.mod says nothing about it
	text, err := download.Output()
	if err != nil {
		t.Skipf("%s with its schemas can't be downloaded: %v", module, err)
	}
	var said struct{ Dir, Sum string }
	if err := json.Unmarshal(text, &said); err != nil || said.Sum != sum {
		t.Fatalf("%s has the sum %s, not %s: %v", module, said.Sum, sum, err)
	}
	return said.Dir
}

// check returns what the published schema does not allow in a manifest.
func (s manifestSchemas) check(text []byte) []string {
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		return []string{err.Error()}
	}
	kind := schema.FromAPIVersionAndKind(fmt.Sprint(object["apiVersion"]), fmt.Sprint(object["kind"]))
	if s.read[kind] == nil {
		found, err := s.find(kind)
		if err != nil {
			return []string{err.Error()}
		}
		closeSchema(found)
		s.read[kind] = found
	}
	var problems []string
	for _, err := range validate.NewSchemaValidator(s.read[kind], nil, "", strfmt.Default).Validate(object).Errors {
		problems = append(problems, err.Error())
	}
	return problems
}

func (s manifestSchemas) find(kind schema.GroupVersionKind) (*spec.Schema, error) {
	if kind.Group == "monitoring.coreos.com" {
		return s.ofOperator(kind)
	}
	path := filepath.Join(s.kubernetes, "apis", kind.Group, kind.Version+".json")
	if kind.Group == "" {
		path = filepath.Join(s.kubernetes, "api", kind.Version+".json")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	document := new(spec3.OpenAPI)
	if err := json.Unmarshal(text, document); err != nil {
		return nil, err
	}
	schemas := document.Components.Schemas
	for name, one := range schemas {
		var kinds []schema.GroupVersionKind
		if err := one.Extensions.GetObject("x-kubernetes-group-version-kind", &kinds); err == nil && slices.Contains(kinds, kind) {
			return resolver.PopulateRefs(func(ref string) (*spec.Schema, bool) {
				found, ok := schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
				return found, ok
			}, name)
		}
	}
	return nil, fmt.Errorf("%s has no schema of %s", path, kind)
}

func (s manifestSchemas) ofOperator(kind schema.GroupVersionKind) (*spec.Schema, error) {
	path := filepath.Join(s.operator, kind.Group+"_"+strings.ToLower(kind.Kind)+"s.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema *spec.Schema }
			}
		}
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return nil, err
	}
	for _, version := range definition.Spec.Versions {
		if version.Name == kind.Version {
			return version.Schema.OpenAPIV3Schema, nil
		}
	}
	return nil, fmt.Errorf("%s has no schema of %s", path, kind)
}

// closeSchema lets no object have fields that its schema doesn't name. A server drops them, and kubectl warns.
func closeSchema(s *spec.Schema) {
	if s.Format == "int-or-string" {
		s.Format = "" // the validator takes it for a type of its own; that both types are meant is said by oneOf
	}
	if len(s.Properties) > 0 && s.AdditionalProperties == nil {
		s.AdditionalProperties = &spec.SchemaOrBool{}
	}
	for name, property := range s.Properties {
		closeSchema(&property)
		s.Properties[name] = property
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		closeSchema(s.AdditionalProperties.Schema)
	}
	if s.Items != nil && s.Items.Schema != nil {
		closeSchema(s.Items.Schema)
	}
}
