package core

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// podWith returns a pod with volumes, given as a list in YAML.
func podWith(t *testing.T, volumes string) *corev1.Pod {
	t.Helper()
	return newPod(t, `{serviceAccountName: app, containers: [{name: main, image: none}], volumes: `+volumes+`}`)
}

// Volumes for which there are no recorded answers: each has the rules of its source in a projected volume.
func TestVolumes(t *testing.T) {
	const v = `spec.volumes[0].`
	const file = v + `downwardAPI.`
	for _, test := range []struct{ volumes, want string }{
		{`[{name: v, secret: {secretName: s, defaultMode: 256, items: [{key: k, path: a/b, mode: 0}]}}]`, ""},
		{`[{name: v, secret: {items: [{path: ../x}], defaultMode: 512}}]`, `[` + v + `secret.secretName: Required value, ` +
			v + `secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive, ` +
			v + `secret.items[0].key: Required value, ` + v + `secret.items[0].path: Invalid value: "../x": must not contain '..']`},
		{`[{name: v, configMap: {items: [{key: k, path: ..x, mode: -1}]}}]`, `[` + v + `configMap.name: Required value, ` +
			v + `configMap.items[0].path: Invalid value: "..x": must not start with '..', ` +
			v + `configMap.items[0].mode: Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive]`},
		{`[{name: v, configMap: {name: c, items: [{key: k, path: x}, {key: l, path: x}]}}]`, ""},
		{`[{name: v, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: "metadata.annotations['Example.com/A']"}}]}}]`, ""},
		{`[{name: v, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: "metadata.labels['a b']"}}]}}]`, file + `fieldRef: Invalid value: "a b": ` +
			`name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character ` +
			`(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`},
		{`[{name: v, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: "metadata.name['a']"}}]}}]`, file +
			`fieldRef.fieldPath: Invalid value: "metadata.name['a']": error converting fieldPath: field label does not support subscript: metadata.name['a']`},
		{`[{name: v, downwardAPI: {items: [{path: a, fieldRef: {apiVersion: v2, fieldPath: metadata.name}}]}}]`, file +
			`fieldRef.fieldPath: Invalid value: "metadata.name": error converting fieldPath: unsupported pod version: v2`},
		{`[{name: v, downwardAPI: {items: [{path: a, fieldRef: {}}]}}]`, file + `fieldRef.fieldPath: Required value`},
		{`[{name: v, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: spec.host}}]}}]`, file + `fieldRef.fieldPath: Unsupported value: "spec.nodeName": ` +
			`supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"`},
		{`[{name: v, downwardAPI: {items: [{path: a, resourceFieldRef: {containerName: c, resource: limits.hugepages-2Mi, divisor: 1Mi}}]}}]`, ""},
		{`[{name: v, downwardAPI: {items: [{path: a, resourceFieldRef: {containerName: c, resource: limits.cpu, divisor: 1m}}]}}]`, ""},
		{`[{name: v, downwardAPI: {items: [{path: a, resourceFieldRef: {containerName: c, resource: limits.cpu, divisor: 1Ki}}]}}]`, file +
			`resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource`},
		{`[{name: v, downwardAPI: {items: [{path: a, resourceFieldRef: {containerName: c, resource: requests.memory, divisor: 1m}}]}}]`, file +
			`resourceFieldRef.divisor: Invalid value: "requests.memory": ` +
			`only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource`},
		{`[{name: v, downwardAPI: {items: [{path: a, resourceFieldRef: {containerName: c}}]}}]`, file + `resourceFieldRef.resource: Required value`},
		{`[{name: v, secret: {secretName: s}, image: {reference: i}}]`, v + `image: Forbidden: may not specify more than 1 volume type`},
		{`[{name: v, secret: {}, emptyDir: {}}]`, v + `secret: Forbidden: may not specify more than 1 volume type`},
		{`[{name: v, projected: {sources: [{serviceAccountToken: {path: t}, podCertificate: {signerName: a.example/b, keyType: ED25519}}]}}]`, ""},
	} {
		got, _ := create(pods, podWith(t, test.volumes))
		want := test.want
		if want != "" {
			want = `Pod "web" is invalid: ` + want
		}
		diffText(t, test.volumes, got, want)
	}
}

// The other kinds of volumes have rules upstream that have nothing to do with tokens.
func TestUncheckedVolumes(t *testing.T) {
	for _, volumes := range []string{
		`[{name: v, hostPath: {path: ""}}]`, `[{name: v, nfs: {}}]`, `[{name: v, persistentVolumeClaim: {}}]`, `[{name: v, csi: {}}]`,
	} {
		got, _ := create(pods, podWith(t, volumes))
		diffText(t, volumes, got, "")
	}
}

func TestSubPaths(t *testing.T) {
	pod := newPod(t, `{containers: [{name: main, image: none, volumeMounts: [
  {name: v, mountPath: /a, subPath: ..x, subPathExpr: /$(A)}, {name: v, mountPath: /b, subPathExpr: a/..}]}], volumes: [{name: v}]}`)
	got, _ := create(pods, pod)
	diffText(t, "error", got, `Pod "web" is invalid: [`+
		`spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: "/$(A)": subPathExpr and subPath are mutually exclusive, `+
		`spec.containers[0].volumeMounts.subPathExpr: Invalid value: "/$(A)": must be a relative path, `+
		`spec.containers[0].volumeMounts.subPathExpr: Invalid value: "a/..": must not contain '..']`)
}

func TestVolumeWarnings(t *testing.T) {
	for _, test := range []struct {
		volumes string
		want    warnings
	}{
		{
			`[{name: v, secret: {secretName: s, items: [{key: k, path: a}, {key: l, path: a/b}]}}]`,
			warnings{`volume "v" (Secret "s"): overlapping paths: "a/b" with "a"`},
		},
		{
			`[{name: v, configMap: {name: c, items: [{key: k, path: a}, {key: l, path: a/}, {key: m, path: a}]}}]`,
			warnings{
				`volume "v" (ConfigMap "c"): overlapping paths: "a" with "a"`,
				`volume "v" (ConfigMap "c"): overlapping paths: "a" with "a"`,
				`volume "v" (ConfigMap "c"): overlapping paths: "a" with "a"`,
			},
		},
		{
			`[{name: v, downwardAPI: {items: [{path: a/b, fieldRef: {fieldPath: metadata.name}}, {path: a, fieldRef: {fieldPath: metadata.uid}}]}}]`,
			warnings{`volume "v" (DownwardAPI): overlapping paths: "a" with "a/b"`},
		},
		{`[{name: v, secret: {secretName: s, items: [{key: k, path: a}, {key: l, path: ab}]}}]`, nil},
		{`[{name: v, projected: {sources: [{clusterTrustBundle: {name: b, path: x}}]}}]`, warnings{`volume "v" (Projected) has no sources provided`}},
	} {
		_, got := create(pods, podWith(t, test.volumes))
		if d := cmp.Diff([]string(test.want), got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.volumes, d)
		}
	}
}

// A pod that was stored before its volumes were checked can still be relabelled, and its finalizers removed.
func TestStoredVolumesStay(t *testing.T) {
	old := podWith(t, `[{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]`)
	if got, _ := create(pods, old); got != "" {
		t.Fatal(got)
	}
	old.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken = &corev1.ServiceAccountTokenProjection{Path: "/tok", ExpirationSeconds: ptr.To(int64(1))}
	pod := old.DeepCopy()
	pod.Labels = map[string]string{"a": "b"}
	got, _ := update(pods, pod, old)
	diffText(t, "labels", got, "")
	pod.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.Path = "tok"
	if got, _ := update(pods, pod, old); got == "" {
		t.Error("a stored volume was changed")
	}
}
