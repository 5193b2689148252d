package core

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

var pods = podStrategy{registry.NamespacedStrategy}

func newPod(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	pod := parse[corev1.Pod](t, "spec: "+spec)
	pod.Name = "web"
	return pod
}

func TestPodCreate(t *testing.T) {
	const invalid = `Pod "web" is invalid: `
	for _, test := range []struct{ name, spec, want string }{
		{"usual", `{containers: [{name: main, image: none}], serviceAccountName: app, nodeName: worker}`, ""},
		{"nothing", `{}`, invalid + `spec.containers: Required value`},
		{
			"container without name and image", `{containers: [{}]}`,
			invalid + `[spec.containers[0].name: Required value, spec.containers[0].image: Required value]`,
		},
		{
			"duplicate containers", `{containers: [{name: a, image: i}, {name: a, image: i}], initContainers: [{name: a, image: i}]}`,
			invalid + `[spec.containers[1].name: Duplicate value: "a", spec.initContainers[0].name: Duplicate value: "a"]`,
		},
		{
			"bad names", `{containers: [{name: A, image: i}], serviceAccountName: App, nodeName: a_b, hostname: x.y}`,
			invalid + `[spec.containers[0].name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric ` +
				`characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', ` +
				`regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), ` +
				subdomain("spec.serviceAccountName", "App") + ", " + subdomain("spec.nodeName", "a_b") +
				`, spec.hostname: Invalid value: "x.y": must not contain dots]`,
		},
		{
			"bad policies", `{containers: [{name: a, image: i, imagePullPolicy: Often}], restartPolicy: Sometimes, dnsPolicy: Mine}`,
			invalid + `[spec.containers[0].imagePullPolicy: Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never", ` +
				`spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never", ` +
				`spec.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]`,
		},
		{
			"ports", `{containers: [{name: a, image: i, ports: [{}, {containerPort: 70000, protocol: ICMP, name: x}, {containerPort: 1, name: x}]}]}`,
			invalid + `[spec.containers[0].ports[0].containerPort: Required value, ` +
				`spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive, ` +
				`spec.containers[0].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP", ` +
				`spec.containers[0].ports[2].name: Duplicate value: "x"]`,
		},
		{
			"volumes", `{containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /a}, {name: w, mountPath: /a}, {}]}], volumes: [{name: v}, {name: v}]}`,
			invalid + `[spec.volumes[1].name: Duplicate value: "v", spec.containers[0].volumeMounts[1].name: Not found: "w", ` +
				`spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique, ` +
				`spec.containers[0].volumeMounts[2].name: Required value, spec.containers[0].volumeMounts[2].name: Not found: "", ` +
				`spec.containers[0].volumeMounts[2].mountPath: Required value]`,
		},
		{
			"resources", `{containers: [{name: a, image: i, resources: {limits: {cpu: "1"}, requests: {cpu: "2", memory: "-1"}}}]}`,
			invalid + `[spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1, ` +
				`spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0]`,
		},
		{
			"gated on a node", `{containers: [{name: a, image: i}], nodeName: worker, schedulingGates: [{name: x}]}`,
			invalid + `spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared`,
		},
		{
			"token without account", `{containers: [{name: a, image: i}], volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: t}}]}}]}`,
			invalid + `spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set`,
		},
		{
			"odd parts", `{containers: [{name: a, image: " i", restartPolicy: Always}], initContainers: [{name: b, image: i, livenessProbe: {}}], ` +
				`tolerations: [{operator: Like}], activeDeadlineSeconds: 0}`,
			invalid + `[spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers, ` +
				`spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always, ` +
				`spec.tolerations[0].operator: Invalid value: "Like": operator must be Exists when ` + "`key`" + ` is empty, which means "match all values and all keys", ` +
				`spec.tolerations[0].operator: Unsupported value: "Like": supported values: "Equal", "Exists", ` +
				`spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive, ` +
				`spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace]`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _ := create(pods, newPod(t, test.spec))
			diffText(t, "error", got, test.want)
		})
	}
}

func subdomain(field, value string) string {
	return field + `: Invalid value: "` + value + `": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', ` +
		`and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is ` +
		`'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`
}

func TestNewPodIsPending(t *testing.T) {
	pod := newPod(t, `{containers: [{name: a, image: i}], schedulingGates: [{name: x}], serviceAccount: app}`)
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"}
	if got, _ := create(pods, pod); got != "" {
		t.Fatal(got)
	}
	want := corev1.PodStatus{
		Phase: corev1.PodPending, QOSClass: corev1.PodQOSBestEffort,
		Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "SchedulingGated",
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		}},
	}
	if d := cmp.Diff(want, pod.Status); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	if pod.Generation != 1 {
		t.Errorf("generation %d", pod.Generation)
	}
}

func TestPodWarnings(t *testing.T) {
	pod := newPod(t, `{containers: [{name: a, image: i}], terminationGracePeriodSeconds: -1}`)
	pod.Name = "a.b"
	_, got := create(pods, pod)
	want := []string{
		"metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
		"spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("warnings (-want +got):\n%s", d)
	}
}

func TestPodUpdate(t *testing.T) {
	const invalid = `Pod "web" is invalid: `
	const frozen = invalid + "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`," +
		"`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)," +
		"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
	const old = `{serviceAccountName: app, containers: [{name: a, image: i}], tolerations: [{key: k, effect: NoExecute, tolerationSeconds: 1}], ` +
		`activeDeadlineSeconds: 10, terminationGracePeriodSeconds: -5}`
	for _, test := range []struct {
		name   string
		change func(*corev1.PodSpec)
		want   string
	}{
		{"nothing", func(*corev1.PodSpec) {}, ""},
		{"image", func(s *corev1.PodSpec) { s.Containers[0].Image = "j" }, ""},
		{"deadline", func(s *corev1.PodSpec) { *s.ActiveDeadlineSeconds = 5 }, ""},
		{"grace", func(s *corev1.PodSpec) { *s.TerminationGracePeriodSeconds = 1 }, ""},
		{"more tolerations", func(s *corev1.PodSpec) {
			s.Tolerations = append(s.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
			seconds := int64(9)
			s.Tolerations[0].TolerationSeconds = &seconds
		}, ""},
		{"account", func(s *corev1.PodSpec) {
			s.ServiceAccountName = "other"
			s.DeprecatedServiceAccount = "other"
		}, frozen + `@@ -13,8 +13,8 @@
  "terminationGracePeriodSeconds": -5,
  "activeDeadlineSeconds": 10,
  "dnsPolicy": "ClusterFirst",
- "serviceAccountName": "app",
- "serviceAccount": "app",
+ "serviceAccountName": "other",
+ "serviceAccount": "other",
  "securityContext": {},
  "schedulerName": "default-scheduler",
  "tolerations": [
`},
		{"node", func(s *corev1.PodSpec) { s.NodeName = "worker" }, frozen},
		{
			"containers", func(s *corev1.PodSpec) {
				s.Containers = append(s.Containers, s.Containers[0])
				s.Containers[1].Name = "b"
			},
			invalid + `spec.containers: Forbidden: pod updates may not add or remove containers`,
		},
		{
			"no deadline", func(s *corev1.PodSpec) { s.ActiveDeadlineSeconds = nil },
			invalid + `spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value`,
		},
		{
			"later deadline", func(s *corev1.PodSpec) { *s.ActiveDeadlineSeconds = 11 },
			invalid + `spec.activeDeadlineSeconds: Invalid value: 11: must be less than or equal to previous value`,
		},
		{
			"fewer tolerations", func(s *corev1.PodSpec) { s.Tolerations = nil },
			invalid + `spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds`,
		},
		{
			"gates", func(s *corev1.PodSpec) { s.SchedulingGates = []corev1.PodSchedulingGate{{Name: "x"}} },
			invalid + `spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'x'`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			old := newPod(t, old)
			if got, _ := create(pods, old); got != "" {
				t.Fatal(got)
			}
			pod := old.DeepCopy()
			test.change(&pod.Spec)
			got, _ := update(pods, pod, old)
			if test.want == frozen && strings.HasPrefix(got, frozen) {
				return
			}
			diffText(t, "error", got, test.want)
			if got == "" && (pod.Generation == 2) != (test.name != "nothing") {
				t.Errorf("generation %d", pod.Generation)
			}
		})
	}
}

func TestPodStatusUpdate(t *testing.T) {
	old := newPod(t, `{containers: [{name: a, image: i}]}`)
	if got, _ := create(pods, old); got != "" {
		t.Fatal(got)
	}
	pod := newPod(t, `{containers: [{name: a, image: j}]}`)
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "here"}}}
	got, _ := update(podStatusStrategy{pods}, pod, old)
	diffText(t, "error", got, `Pod "web" is invalid: status.podIPs[0]: Invalid value: "here": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`)
	if pod.Spec.Containers[0].Image != "i" || pod.Status.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("an update of the status changes image to %q, class to %q", pod.Spec.Containers[0].Image, pod.Status.QOSClass)
	}
}

func TestPodGracefulDelete(t *testing.T) {
	seconds := func(s int64) *int64 { return &s }
	for _, test := range []struct {
		name           string
		node           string
		phase          corev1.PodPhase
		spec, asked    *int64
		want           int64
		alreadyDeleted bool
	}{
		{name: "as the pod says", node: "worker", spec: seconds(30), want: 30},
		{name: "as the request says", node: "worker", spec: seconds(30), asked: seconds(5), want: 5},
		{name: "longer than the pod says", node: "worker", spec: seconds(30), asked: seconds(60), want: 60},
		{name: "at once", node: "worker", spec: seconds(30), asked: seconds(0), want: 0},
		{name: "negative request", node: "worker", spec: seconds(30), asked: seconds(-1), want: 1},
		{name: "negative pod", node: "worker", spec: seconds(-1), want: 1},
		{name: "nobody says", node: "worker", want: 0},
		{name: "no node", spec: seconds(30), want: 0},
		{name: "no node, asked", spec: seconds(30), asked: seconds(5), want: 0},
		{name: "ended", node: "worker", phase: corev1.PodSucceeded, spec: seconds(30), want: 0},
		{name: "failed", node: "worker", phase: corev1.PodFailed, spec: seconds(30), want: 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "ns", Generation: 1}}
			pod.Spec = corev1.PodSpec{NodeName: test.node, TerminationGracePeriodSeconds: test.spec}
			pod.Status.Phase = test.phase
			options := &metav1.DeleteOptions{GracePeriodSeconds: test.asked}
			var w warnings
			graceful, pending, err := rest.BeforeDelete(pods, requestContext(pods, &w), pod, options)
			if err != nil || !graceful || pending {
				t.Fatalf("graceful %t, pending %t, %v", graceful, pending, err)
			}
			if *pod.DeletionGracePeriodSeconds != test.want {
				t.Errorf("%d seconds, want %d", *pod.DeletionGracePeriodSeconds, test.want)
			}
		})
	}
}

func TestQOSClass(t *testing.T) {
	for _, test := range []struct {
		spec string
		want corev1.PodQOSClass
	}{
		{`{containers: [{name: a}]}`, corev1.PodQOSBestEffort},
		{`{containers: [{name: a, resources: {requests: {example.com/gpu: 1}}}]}`, corev1.PodQOSBestEffort},
		{`{containers: [{name: a, resources: {requests: {cpu: 1}}}]}`, corev1.PodQOSBurstable},
		{`{containers: [{name: a, resources: {limits: {cpu: 1}}}]}`, corev1.PodQOSBurstable},
		{`{containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}]}`, corev1.PodQOSGuaranteed},
		{`{containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}}]}`, corev1.PodQOSBurstable},
		{`{containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}, {name: b}]}`, corev1.PodQOSBurstable},
		{`{containers: [{name: a, resources: {limits: {cpu: 1, memory: 1Gi}}}], initContainers: [{name: b}]}`, corev1.PodQOSBurstable},
		{`{resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1, memory: 1Gi}}, containers: [{name: a}]}`, corev1.PodQOSGuaranteed},
		{`{resources: {requests: {cpu: 1}}, containers: [{name: a}]}`, corev1.PodQOSBurstable},
	} {
		if got := qosClass(&newPod(t, test.spec).Spec); got != test.want {
			t.Errorf("%s: %s, want %s", test.spec, got, test.want)
		}
	}
}
