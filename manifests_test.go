package mintmark_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mintmark/mintmark/internal/options"
)

const manifestDir = "contrib/kubernetes"

// serviceMonitor has the fields of the Prometheus operator's ServiceMonitor that the manifests use. TestManifestSchemas has the operator's
// own schema.
type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port          string `json:"port"`
			Scheme        string `json:"scheme"`
			Path          string `json:"path"`
			Interval      string `json:"interval"`
			Authorization struct {
				Type        string                   `json:"type"`
				Credentials corev1.SecretKeySelector `json:"credentials"`
			} `json:"authorization"`
			TLSConfig struct {
				ServerName string `json:"serverName"`
				CA         struct {
					Secret corev1.SecretKeySelector `json:"secret"`
				} `json:"ca"`
			} `json:"tlsConfig"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// prometheusRule is the Prometheus operator's PrometheusRule.
type prometheusRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              ruleFile `json:"spec"`
}

// kustomization has the fields of kustomization.yaml that the manifests use; kubectl reads the real ones in TestManifestsBuild.
type kustomization struct {
	metav1.TypeMeta `json:",inline"`
	Resources       []string `json:"resources"`
	Images          []struct {
		Name   string `json:"name"`
		NewTag string `json:"newTag"`
	} `json:"images"`
}

// newManifest returns an empty object of a kind.
func newManifest(apiVersion, kind string) any {
	switch apiVersion + " " + kind {
	case "v1 Namespace":
		return &corev1.Namespace{}
	case "v1 ServiceAccount":
		return &corev1.ServiceAccount{}
	case "v1 Service":
		return &corev1.Service{}
	case "apps/v1 StatefulSet":
		return &appsv1.StatefulSet{}
	case "apps/v1 Deployment":
		return &appsv1.Deployment{}
	case "networking.k8s.io/v1 NetworkPolicy":
		return &networkingv1.NetworkPolicy{}
	case "policy/v1 PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return &serviceMonitor{}
	case "monitoring.coreos.com/v1 PrometheusRule":
		return &prometheusRule{}
	case "kustomize.config.k8s.io/v1beta1 Kustomization", "kustomize.config.k8s.io/v1alpha1 Component":
		return &kustomization{}
	}
	return nil
}

// decodeManifest reads an object and refuses fields that its kind doesn't have.
func decodeManifest(t *testing.T, name string, text []byte) any {
	t.Helper()
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(text, &meta); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	object := newManifest(meta.APIVersion, meta.Kind)
	if object == nil {
		t.Fatalf("%s is a %s of %s: add that kind to newManifest", name, meta.Kind, meta.APIVersion)
	}
	if err := yaml.UnmarshalStrict(text, object); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return object
}

// TestManifests decodes each manifest strictly, and has every one named by the kustomization beside it.
func TestManifests(t *testing.T) {
	named, found := map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir(manifestDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		object := decodeManifest(t, path, text)
		if k, ok := object.(*kustomization); ok {
			for _, resource := range k.Resources {
				named[filepath.Join(filepath.Dir(path), resource)] = true
			}
			return nil
		}
		found[path] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range found {
		if !named[path] {
			t.Errorf("no kustomization names %s", path)
		}
	}
	for path := range named {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("a kustomization names %s: %v", path, err)
		}
	}
}

// servers returns the pod templates of the two ways to run the server in a cluster.
func servers(t *testing.T) map[string]corev1.PodSpec {
	t.Helper()
	read := func(path string) any {
		text, err := os.ReadFile(filepath.Join(manifestDir, path))
		if err != nil {
			t.Fatal(err)
		}
		return decodeManifest(t, path, text)
	}
	return map[string]corev1.PodSpec{
		"embedded":      read("embedded/statefulset.yaml").(*appsv1.StatefulSet).Spec.Template.Spec,
		"external-etcd": read("external-etcd/deployment.yaml").(*appsv1.Deployment).Spec.Template.Spec,
	}
}

// parseServe reads the arguments of "mintmark serve" as the server does.
func parseServe(t *testing.T, args []string) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	for _, group := range options.New().Flags().FlagSets {
		flags.AddFlagSet(group)
	}
	if len(args) == 0 || args[0] != "serve" {
		t.Fatalf("the arguments %q don't begin with serve", args)
	}
	if err := flags.Parse(args[1:]); err != nil {
		t.Fatal(err)
	}
	return flags
}

// TestManifestFlags has the server read its arguments, and compares flags with the fields of the pod that depend on them.
func TestManifestFlags(t *testing.T) {
	for name, pod := range servers(t) {
		t.Run(name, func(t *testing.T) {
			container := pod.Containers[0]
			flags := parseServe(t, container.Args)
			duration := func(flag string) time.Duration {
				value, err := flags.GetDuration(flag)
				if err != nil {
					t.Fatal(err)
				}
				return value
			}
			stop := duration("shutdown-delay-duration") + duration("request-timeout")
			if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace <= stop {
				t.Errorf("the pod is killed after %v, and the server may take %v to stop", grace, stop)
			}
			ready := container.ReadinessProbe
			noticed := time.Duration(ready.PeriodSeconds*ready.FailureThreshold+ready.TimeoutSeconds) * time.Second
			if left := duration("max-staleness") / 2; noticed >= left {
				t.Errorf("that a server isn't ready is noticed within %v, and it answers 503 after %v", noticed, left)
			}
			if check := duration("etcd-readycheck-timeout"); time.Duration(ready.TimeoutSeconds)*time.Second <= check {
				t.Errorf("the readiness probe waits %d s, and the check of etcd %v", ready.TimeoutSeconds, check)
			}
			if port := flags.Lookup("secure-port").Value.String(); port != "7443" || container.Ports[0].ContainerPort != 7443 {
				t.Errorf("ports %s and %d", port, container.Ports[0].ContainerPort)
			}
			for _, flag := range []string{"etcd-cafile", "etcd-certfile", "etcd-keyfile", "encryption-provider-config"} {
				if file := flags.Lookup(flag).Value.String(); file != "" && !mounted(container, file) {
					t.Errorf("--%s=%s is in no volume", flag, file)
				}
			}
		})
	}
}

func mounted(c corev1.Container, file string) bool {
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return strings.HasPrefix(file, m.MountPath+"/") })
}

// TestManifestsAgree: both ways to run the server have the same probes, resources and rights.
func TestManifestsAgree(t *testing.T) {
	pods := servers(t)
	one, other := pods["embedded"], pods["external-etcd"]
	one.SecurityContext.FSGroupChangePolicy = nil // for the volume, which the other one doesn't have
	if diff := cmp.Diff(one.SecurityContext, other.SecurityContext); diff != "" {
		t.Error(diff)
	}
	parts := func(p corev1.PodSpec) []any {
		c := p.Containers[0]
		return []any{
			c.StartupProbe, c.LivenessProbe, c.ReadinessProbe, c.Resources, c.SecurityContext, c.Env, c.Ports, c.Image,
			p.TerminationGracePeriodSeconds, p.ServiceAccountName, p.AutomountServiceAccountToken,
		}
	}
	if diff := cmp.Diff(parts(one), parts(other), cmp.Comparer(resource.Quantity.Equal)); diff != "" {
		t.Error(diff)
	}
}

// TestManifestsAreRestricted holds the pods to the Pod Security Standard "restricted", which the namespace enforces, and to a root file system
// that can't be written. A liveness probe must not ask /readyz, which fails when etcd is away.
func TestManifestsAreRestricted(t *testing.T) {
	for name, pod := range servers(t) {
		t.Run(name, func(t *testing.T) {
			c := pod.Containers[0]
			p, s := pod.SecurityContext, c.SecurityContext
			for what, so := range map[string]bool{
				"non-root":               *p.RunAsNonRoot && *p.RunAsUser > 0,
				"seccomp":                p.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
				"no escalation":          !*s.AllowPrivilegeEscalation && s.Privileged == nil,
				"no capabilities":        slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(s.Capabilities.Add) == 0,
				"read-only root":         *s.ReadOnlyRootFilesystem,
				"no token":               !*pod.AutomountServiceAccountToken,
				"nothing of the host":    !pod.HostNetwork && !pod.HostPID && !pod.HostIPC,
				"started by /livez":      c.StartupProbe.HTTPGet.Path == "/livez",
				"kept by /livez":         c.LivenessProbe.HTTPGet.Path == "/livez",
				"asked when /readyz":     c.ReadinessProbe.HTTPGet.Path == "/readyz",
				"GOMEMLIMIT below":       c.Env[0].Name == "GOMEMLIMIT" && goMemory(t, c.Env[0].Value) < c.Resources.Limits.Memory().Value(),
				"no limit of CPU":        c.Resources.Limits.Cpu().IsZero(),
				"probes speak TLS":       c.ReadinessProbe.HTTPGet.Scheme == corev1.URISchemeHTTPS && c.LivenessProbe.HTTPGet.Scheme == corev1.URISchemeHTTPS,
				"one container, no more": len(pod.Containers) == 1 && len(pod.InitContainers) == 0,
			} {
				if !so {
					t.Errorf("not so: %s", what)
				}
			}
		})
	}
}

// goMemory reads a value of GOMEMLIMIT, such as 900MiB.
func goMemory(t *testing.T, text string) int64 {
	t.Helper()
	quantity, err := resource.ParseQuantity(strings.TrimSuffix(text, "B"))
	if err != nil || !strings.HasSuffix(text, "iB") {
		t.Fatalf("GOMEMLIMIT=%s: %v", text, err)
	}
	return quantity.Value()
}
