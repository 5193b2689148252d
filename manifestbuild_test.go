package mintmark_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// TestManifestsBuild builds the overlays with kubectl, alone and with the component for the Prometheus operator, and decodes the result.
func TestManifestsBuild(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not installed")
	}
	for _, overlay := range []string{"embedded", "external-etcd"} {
		t.Run(overlay, func(t *testing.T) {
			kinds := built(t, kubectl, filepath.Join(manifestDir, overlay))
			if !kinds["Namespace"] || !kinds["Service"] || kinds["Deployment"] == kinds["StatefulSet"] || kinds["ServiceMonitor"] {
				t.Errorf("%v", kinds)
			}
			dir := t.TempDir()
			reference := func(name string) string {
				from, errFrom := filepath.EvalSymlinks(dir)
				to, errTo := filepath.Abs(filepath.Join(manifestDir, name))
				path, err := filepath.Rel(from, to)
				if errFrom != nil || errTo != nil || err != nil {
					t.Fatal(errFrom, errTo, err)
				}
				return path
			}
			text := "resources: [" + reference(overlay) + "]\ncomponents: [" + reference("prometheus-operator") + "]\n"
			if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if kinds := built(t, kubectl, dir); !kinds["ServiceMonitor"] || !kinds["PrometheusRule"] {
				t.Errorf("with the component: %v", kinds)
			}
		})
	}
}

// built returns the kinds in what kubectl builds of a kustomization.
func built(t *testing.T, kubectl, dir string) map[string]bool {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), kubectl, "kustomize", dir)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	kinds := map[string]bool{}
	for text := range bytes.SplitSeq(out, []byte("\n---\n")) {
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal(text, &meta); err != nil {
			t.Fatal(err)
		}
		decodeManifest(t, dir+" "+meta.Kind, text)
		kinds[meta.Kind] = true
	}
	return kinds
}
