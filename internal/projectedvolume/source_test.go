package projectedvolume_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

func configMapSource(name string, optional bool, items ...corev1.KeyToPath) corev1.VolumeProjection {
	return corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: &optional, Items: items}}
}

func secretSource(name string, optional bool, items ...corev1.KeyToPath) corev1.VolumeProjection {
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: &optional, Items: items}}
}

// fieldSource has pairs of a path and a field.
func fieldSource(pairs ...string) corev1.VolumeProjection {
	source := &corev1.DownwardAPIProjection{}
	for i := 0; i < len(pairs); i += 2 {
		source.Items = append(source.Items, corev1.DownwardAPIVolumeFile{Path: pairs[i], FieldRef: &corev1.ObjectFieldSelector{FieldPath: pairs[i+1]}})
	}
	return corev1.VolumeProjection{DownwardAPI: source}
}

// resourceSource has pairs of a path and a resource of container c, perhaps with a divisor: "limits.memory/1Mi".
func resourceSource(container string, pairs ...string) corev1.VolumeProjection {
	source := &corev1.DownwardAPIProjection{}
	for i := 0; i < len(pairs); i += 2 {
		name, divisor, _ := strings.Cut(pairs[i+1], "/")
		ref := &corev1.ResourceFieldSelector{ContainerName: container, Resource: name}
		if divisor != "" {
			ref.Divisor = resource.MustParse(divisor)
		}
		source.Items = append(source.Items, corev1.DownwardAPIVolumeFile{Path: pairs[i], ResourceFieldRef: ref})
	}
	return corev1.VolumeProjection{DownwardAPI: source}
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Data: data}
}

// files are the files of the volume "v" of a pod, by path.
func files(t *testing.T, root, pod string) map[string]string {
	t.Helper()
	volume := filepath.Join(root, "pods", "ns_"+pod, "volumes", "v")
	data, err := filepath.EvalSymlinks(filepath.Join(volume, "..data"))
	if err != nil {
		return nil
	}
	found := map[string]string{}
	err = filepath.WalkDir(data, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(data, p)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(filepath.Join(volume, name))
		found[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// sourcePod is the pod of the tests of sources.
func sourcePod(sources ...corev1.VolumeProjection) *corev1.Pod {
	p := pod("p", sources...)
	p.Labels = map[string]string{"b": "2", "a": "with \"quotes\" and\nlines", "empty": ""}
	p.Annotations = map[string]string{"example.com/x": "y"}
	p.Spec.Containers[0].Resources = corev1.ResourceRequirements{
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("1500m"), "memory": resource.MustParse("100Mi"), "hugepages-2Mi": resource.MustParse("4Mi")},
		Requests: corev1.ResourceList{"cpu": resource.MustParse("250m")},
	}
	return p
}

func TestSources(t *testing.T) {
	objects := []runtime.Object{
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "config"}, Data: map[string]string{"one": "1", "two": "2"}, BinaryData: map[string][]byte{"bin": {0, 255}},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "secret"}, Data: map[string][]byte{"key": []byte("hidden")}},
		configMap("odd", map[string]string{"..data": "x"}),
	}
	for name, test := range map[string]struct {
		sources []corev1.VolumeProjection
		want    map[string]string
		// errs are all in the error, and nothing is written then.
		errs []string
	}{
		"all keys":                  {[]corev1.VolumeProjection{configMapSource("config", false)}, map[string]string{"one": "1", "two": "2", "bin": "\x00\xff"}, nil},
		"items":                     {[]corev1.VolumeProjection{configMapSource("config", false, corev1.KeyToPath{Key: "one", Path: "./a//b"})}, map[string]string{"a/b": "1"}, nil},
		"a secret":                  {[]corev1.VolumeProjection{secretSource("secret", false)}, map[string]string{"key": "hidden"}, nil},
		"no such objects, optional": {[]corev1.VolumeProjection{configMapSource("no", true), secretSource("no", true, corev1.KeyToPath{Key: "k", Path: "k"})}, map[string]string{}, nil},
		"no such key, optional": {
			[]corev1.VolumeProjection{configMapSource("config", true, corev1.KeyToPath{Key: "no", Path: "no"}, corev1.KeyToPath{Key: "one", Path: "one"})}, map[string]string{"one": "1"}, nil,
		},
		"no sources":      {nil, map[string]string{}, nil},
		"an empty source": {[]corev1.VolumeProjection{{}}, map[string]string{}, nil},
		"later replaces earlier": {
			[]corev1.VolumeProjection{fieldSource("x", "metadata.name", "./x", "metadata.namespace"), secretSource("secret", false), tokenSource("key", "a", 600), tokenSource("key", "b", 600)},
			map[string]string{"x": "ns", "key": "app/b/2"},
			nil,
		},
		"sources that agree share a token": {
			[]corev1.VolumeProjection{tokenSource("a", "x", 600), tokenSource("b", "x", 600), tokenSource("c", "x", 601)}, map[string]string{"a": "app/x/1", "b": "app/x/1", "c": "app/x/2"}, nil,
		},
		"fields": {
			[]corev1.VolumeProjection{fieldSource("name", "metadata.name", "ns", "metadata.namespace", "uid", "metadata.uid", "labels", "metadata.labels", "annotations", "metadata.annotations",
				"a", "metadata.labels['b']", "none", "metadata.labels['none']", "x", "metadata.annotations['example.com/x']")},
			map[string]string{
				"name": "p", "ns": "ns", "uid": "uid of p", "labels": "a=\"with \\\"quotes\\\" and\\nlines\"\nb=\"2\"\nempty=\"\"",
				"annotations": `example.com/x="y"`, "a": "2", "none": "", "x": "y",
			},
			nil,
		},
		"resources": {
			[]corev1.VolumeProjection{resourceSource("c", "cpu", "limits.cpu", "milli", "limits.cpu/1m", "request", "requests.cpu", "memory", "limits.memory", "mega", "limits.memory/1Mi",
				"giga", "limits.memory/1Gi",
				"none", "requests.memory", "huge", "limits.hugepages-2Mi")},
			map[string]string{"cpu": "2", "milli": "1500", "request": "1", "memory": "104857600", "mega": "100", "giga": "1", "none": "0", "huge": "4194304"},
			nil,
		},
		"errors of all sources": {
			[]corev1.VolumeProjection{
				tokenSource("token", "", 600), configMapSource("no", false), secretSource("none", false), configMapSource("config", false, corev1.KeyToPath{Key: "no", Path: "x"}),
				secretSource("secret", false, corev1.KeyToPath{Key: "lost", Path: "y"}),
				resourceSource("c", "r", "limits.ephemeral-storage"), resourceSource("d", "s", "limits.cpu"), fieldSource("f", "spec.nodeName"),
			},
			nil,
			[]string{
				`config map no: configmaps "no" not found`, `secret none: secrets "none" not found`, "configmap references non-existent config key: no", "references non-existent secret key: lost",
				"limits.ephemeral-storage", "container d not found", "field label not supported: spec.nodeName",
			},
		},
		"a key that would leave": {[]corev1.VolumeProjection{tokenSource("token", "", 600), configMapSource("odd", false)}, nil, []string{"invalid path: must not start with '..': ..data"}},
		"a key at a token's path": {
			[]corev1.VolumeProjection{tokenSource("one/token", "", 600), configMapSource("config", false)}, nil, []string{"invalid path: one/token is inside one, which is a file"},
		},
		"a kind that is not known of": {[]corev1.VolumeProjection{{PodCertificate: &corev1.PodCertificateProjection{}}}, nil, []string{"source 0 is of a kind that the agent can't write"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keeper, root := run(t, projectedvolume.Config{Client: newAPI(objects...)})
				keeper.Set(sourcePod(test.sources...))
				synctest.Wait()
				if diff := cmp.Diff(test.want, files(t, root, "p")); diff != "" {
					t.Error(diff)
				}
				err := only(t, keeper).Err
				if (err == nil) != (test.errs == nil) {
					t.Errorf("status: %v", err)
				}
				for _, want := range test.errs {
					if err != nil && !strings.Contains(err.Error(), want) {
						t.Errorf("the error has no %q: %v", want, err)
					}
				}
			})
		})
	}
}

// TestNeverAskedFor: where the files can't be written whatever the answer is, no token is asked for, and not tried again.
func TestNeverAskedFor(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"no account": {func(p *corev1.Pod) { p.Spec.ServiceAccountName = "" }, "make it anew with serviceAccountName"},
		"above":      {func(p *corev1.Pod) { p.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.Path = "../token" }, "must not contain '..': ../token"},
		"absolute":   {func(p *corev1.Pod) { p.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.Path = "/token" }, "must be relative path: /token"},
		"the link":   {func(p *corev1.Pod) { p.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.Path = "./..data" }, "must not start with '..': ..data"},
		"item": {func(p *corev1.Pod) {
			p.Spec.Volumes[0].Projected.Sources = append(p.Spec.Volumes[0].Projected.Sources, configMapSource("c", true, corev1.KeyToPath{Key: "k", Path: "a/../b"}))
		}, "must not contain '..': a/../b"},
		"field": {func(p *corev1.Pod) {
			p.Spec.Volumes[0].Projected.Sources = append(p.Spec.Volumes[0].Projected.Sources, fieldSource("", "metadata.name"))
		}, "must not be empty"},
		"a file and folder": {func(p *corev1.Pod) {
			p.Spec.Volumes[0].Projected.Sources = append(p.Spec.Volumes[0].Projected.Sources, fieldSource("token/x", "metadata.name"))
		}, "token/x is inside token, which is a file"},
		"volume":    {func(p *corev1.Pod) { p.Spec.Volumes[0].Name = "../v" }, `a volume can't be called "../v"`},
		"namespace": {func(p *corev1.Pod) { p.Namespace = "../.." }, "is not the namespace and the name of a pod"},
		"pod":       {func(p *corev1.Pod) { p.Name = "a/../../b" }, "is not the namespace and the name of a pod"},
		"long":      {func(p *corev1.Pod) { p.Name = strings.Repeat("p", 253) }, "have 255 characters, and with the one between them no more than 255"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, parent := newAPI(), t.TempDir()
				keeper, root := run(t, projectedvolume.Config{Client: server, Root: filepath.Join(parent, "x", "root")})
				p := pod("p", tokenSource("token", "", 600))
				test.change(p)
				keeper.Set(p)
				time.Sleep(48 * time.Hour)
				synctest.Wait()
				if status := only(t, keeper); status.Err == nil || !strings.Contains(status.Err.Error(), test.want) || !status.Next.IsZero() {
					t.Errorf("status %v, next try %v", status.Err, status.Next)
				}
				if issued, _ := server.requests(time.Now()); len(issued) > 0 {
					t.Error("a token was asked for")
				}
				keeper.Remove(p.Namespace, p.Name, p.UID)
				synctest.Wait()
				if len(keeper.Status()) > 0 {
					t.Error("the pod is not gone")
				}
				for directory, want := range map[string]string{parent: "x", filepath.Join(parent, "x"): "root", root: "pods", filepath.Join(root, "pods"): ""} {
					if entries, _ := os.ReadDir(directory); len(entries) > 1 || len(entries) == 1 && entries[0].Name() != want {
						t.Errorf("in %s is %v", directory, entries)
					}
				}
			})
		})
	}
}

// TestModes: the modes of the volume and of items, without an owner.
func TestModes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keeper, root := run(t, projectedvolume.Config{Client: newAPI(configMap("config", map[string]string{"one": "1"}))})
		p := pod("p", tokenSource("token", "", 600), configMapSource("config", false, corev1.KeyToPath{Key: "one", Path: "one", Mode: ptr.To[int32](0o400)}), fieldSource("name", "metadata.name"))
		p.Spec.Volumes[0].Projected.DefaultMode = ptr.To[int32](0o640)
		keeper.Set(p)
		synctest.Wait()
		for name, want := range map[string]fs.FileMode{"token": 0o640, "one": 0o400, "name": 0o640} {
			if info, err := os.Stat(filepath.Join(root, "pods/ns_p/volumes/v", name)); err != nil || info.Mode() != want {
				t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
			}
		}
	})
}
