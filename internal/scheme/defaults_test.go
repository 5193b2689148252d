package scheme

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// decode reads an object as the server does.
func decode(t *testing.T, text string) runtime.Object {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	obj, _, err := Codecs.UniversalDecoder().Decode(data, nil, nil)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return obj
}

func TestDefaults(t *testing.T) {
	for _, test := range []struct{ name, given, want string }{
		{
			"namespace", `{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {b: c}}}`,
			`{metadata: {name: a, labels: {b: c, kubernetes.io/metadata.name: a}}, spec: {}, status: {}}`,
		},
		{"namespace without a name", `{apiVersion: v1, kind: Namespace, metadata: {generateName: a}}`, `{metadata: {generateName: a}, spec: {}, status: {}}`},
		{
			"secret", `{apiVersion: v1, kind: Secret, data: {a: b25l, b: dHdv}, stringData: {b: zwei}}`,
			`{metadata: {}, type: Opaque, data: {a: b25l, b: endlaQ==}}`,
		},
		{"secret with a type", `{apiVersion: v1, kind: Secret, type: mine}`, `{metadata: {}, type: mine}`},
		{
			"node", `{apiVersion: v1, kind: Node, spec: {podCIDR: 10.0.0.0/24}, status: {capacity: {cpu: 1u}}}`,
			`
metadata: {}
spec: {podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24]}
status:
  capacity: {cpu: 1m}
  allocatable: {cpu: 1m}
  daemonEndpoints: {kubeletEndpoint: {Port: 0}}
  nodeInfo: {architecture: "", bootID: "", containerRuntimeVersion: "", kernelVersion: "", kubeProxyVersion: "", kubeletVersion: "",
    machineID: "", operatingSystem: "", osImage: "", systemUUID: ""}
`,
		},
		{
			"token request", `{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, spec: {audiences: [a]}}`,
			`{metadata: {}, spec: {audiences: [a], expirationSeconds: 3600}, status: {token: "", expirationTimestamp: null}}`,
		},
		{
			"pod", `
apiVersion: v1
kind: Pod
spec:
  serviceAccount: app
  hostNetwork: true
  containers:
  - name: a
    image: none
    ports: [{containerPort: 80}]
    resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1u}}
    env: [{name: VAR, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    livenessProbe: {httpGet: {port: 80}}
    readinessProbe: {grpc: {port: 80}}
  volumes:
  - name: empty
  - {name: secret, secret: {secretName: s}}
  - name: token
    projected: {sources: [{serviceAccountToken: {path: token}}, {downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.name}}]}}]}
status: {podIP: 10.0.0.1}
`, `
metadata: {}
spec:
  serviceAccount: app
  serviceAccountName: app
  hostNetwork: true
  restartPolicy: Always
  dnsPolicy: ClusterFirst
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
  enableServiceLinks: true
  containers:
  - name: a
    image: none
    imagePullPolicy: Always
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]
    resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1m, memory: 1Gi}}
    env: [{name: VAR, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}]
    livenessProbe: {httpGet: {path: /, port: 80, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    readinessProbe: {grpc: {port: 80, service: ""}, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
  volumes:
  - {name: empty, emptyDir: {}}
  - {name: secret, secret: {secretName: s, defaultMode: 420}}
  - name: token
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - downwardAPI: {items: [{path: p, fieldRef: {apiVersion: v1, fieldPath: metadata.name}}]}
status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}
`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			obj := decode(t, test.given)
			want := obj.DeepCopyObject()
			clearAll(want)
			if err := yaml.UnmarshalStrict([]byte(test.want), want); err != nil {
				t.Fatal(err)
			}
			got, wanted := plain(t, obj), plain(t, want)
			if d := cmp.Diff(wanted, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// clearAll makes an object of the same kind empty.
func clearAll(obj runtime.Object) {
	switch o := obj.(type) {
	case *corev1.Namespace:
		*o = corev1.Namespace{}
	case *corev1.Secret:
		*o = corev1.Secret{}
	case *corev1.Node:
		*o = corev1.Node{}
	case *corev1.Pod:
		*o = corev1.Pod{}
	case *authenticationv1.TokenRequest:
		*o = authenticationv1.TokenRequest{}
	}
}

func plain(t *testing.T, obj runtime.Object) map[string]any {
	t.Helper()
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestServiceAccountNameWins(t *testing.T) {
	pod := decode(t, `{apiVersion: v1, kind: Pod, spec: {serviceAccountName: new, serviceAccount: old}}`).(*corev1.Pod)
	if pod.Spec.ServiceAccountName != "new" || pod.Spec.DeprecatedServiceAccount != "new" {
		t.Errorf("serviceAccountName %q, serviceAccount %q", pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount)
	}
}

func TestPullPolicy(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"none":                        corev1.PullAlways,
		"none:latest":                 corev1.PullAlways,
		"none:1":                      corev1.PullIfNotPresent,
		"example.com:5000/none":       corev1.PullAlways,
		"example.com:5000/none:1":     corev1.PullIfNotPresent,
		"none@sha256:0123":            corev1.PullIfNotPresent,
		"none:latest@sha256:0123":     corev1.PullAlways,
		"example.com/a/b:1@sha256:01": corev1.PullIfNotPresent,
	} {
		if got := pullPolicy(image); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

func TestFieldLabels(t *testing.T) {
	for _, test := range []struct{ kind, label, want, problem string }{
		{kind: "Pod", label: "spec.nodeName", want: "spec.nodeName"},
		{kind: "Pod", label: "spec.host", want: "spec.nodeName"},
		{kind: "Pod", label: "spec.containers", problem: "field label not supported: spec.containers"},
		{kind: "Namespace", label: "name", want: "metadata.name"},
		{kind: "Secret", label: "type", want: "type"},
		{kind: "Node", label: "metadata.namespace", problem: "field label not supported: metadata.namespace"},
		{kind: "ServiceAccount", label: "metadata.name", want: "metadata.name"},
		{kind: "ServiceAccount", label: "spec.x", problem: `"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"`},
	} {
		got, value, err := Scheme.ConvertFieldLabel(schema.GroupVersionKind{Version: "v1", Kind: test.kind}, test.label, "x")
		problem := ""
		if err != nil {
			problem = err.Error()
		} else if value != "x" {
			t.Errorf("%s %s: value %q", test.kind, test.label, value)
		}
		if got != test.want || problem != test.problem {
			t.Errorf("%s %s: %q, %q, want %q, %q", test.kind, test.label, got, problem, test.want, test.problem)
		}
	}
}
