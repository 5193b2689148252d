package core

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodCells(t *testing.T) {
	anHourAgo := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for _, test := range []struct {
		name, pod string
		want      []any
	}{
		{
			"new", `{metadata: {name: web}, spec: {containers: [{name: a}]}, status: {phase: Pending}}`,
			[]any{"web", "0/1", "Pending", "0", "<unknown>", "<none>", "<none>", "<none>", "<none>"},
		},
		{
			"running", `
metadata: {name: web, creationTimestamp: "` + anHourAgo + `"}
spec: {nodeName: worker, containers: [{name: a}, {name: b}], readinessGates: [{conditionType: x}, {conditionType: y}]}
status:
  phase: Running
  podIP: 10.0.0.1
  nominatedNodeName: other
  conditions: [{type: x, status: "True"}]
  containerStatuses:
  - {name: a, ready: true, state: {running: {}}}
  - {name: b, state: {running: {}}, restartCount: 3, lastState: {terminated: {finishedAt: "` + anHourAgo + `"}}}
`,
			[]any{"web", "1/2", "Running", "3 (60m ago)", "60m", "10.0.0.1", "worker", "other", "1/2"},
		},
		{"going", `{metadata: {deletionTimestamp: "` + anHourAgo + `"}, status: {phase: Running}}`, cells("0/0", "Terminating")},
		{"gone", `{metadata: {deletionTimestamp: "` + anHourAgo + `"}, status: {phase: Succeeded}}`, cells("0/0", "Succeeded")},
		{"lost", `{metadata: {deletionTimestamp: "` + anHourAgo + `"}, status: {phase: Running, reason: NodeLost}}`, cells("0/0", "Unknown")},
		{"evicted", `{status: {phase: Failed, reason: Evicted}}`, cells("0/0", "Evicted")},
		{"gated", `{status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: SchedulingGated}]}}`, cells("0/0", "SchedulingGated")},
		{"waiting", `{status: {phase: Pending, containerStatuses: [{state: {waiting: {reason: ImagePullBackOff}}}]}}`, cells("0/0", "ImagePullBackOff")},
		{"failed", `{status: {phase: Failed, containerStatuses: [{state: {terminated: {exitCode: 2}}}]}}`, cells("0/0", "ExitCode:2")},
		{"killed", `{status: {phase: Failed, containerStatuses: [{state: {terminated: {exitCode: 2, signal: 9}}}]}}`, cells("0/0", "Signal:9")},
		{
			"half through", `{status: {phase: Running, containerStatuses: [{state: {terminated: {reason: Completed}}}, {ready: true, state: {running: {}}}]}}`,
			cells("1/0", "NotReady"),
		},
		{
			"initializing", `{spec: {initContainers: [{name: a}, {name: b}]}, status: {phase: Pending, initContainerStatuses: ` +
				`[{name: a, state: {terminated: {exitCode: 0}}}, {name: b, state: {running: {}}}]}}`,
			cells("0/0", "Init:1/2"),
		},
		{
			"stuck", `{status: {phase: Pending, initContainerStatuses: [{state: {waiting: {reason: CrashLoopBackOff}}}]}}`,
			cells("0/0", "Init:CrashLoopBackOff"),
		},
		{
			"broken", `{status: {phase: Failed, initContainerStatuses: [{state: {terminated: {exitCode: 1, reason: Error}}}]}}`,
			cells("0/0", "Init:Error"),
		},
		{
			"sidecar", `{spec: {initContainers: [{name: a, restartPolicy: Always}]}, status: {phase: Running, initContainerStatuses: ` +
				`[{name: a, started: true, ready: true, state: {running: {}}}]}}`,
			cells("1/1", "Running"),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := parse[corev1.Pod](t, test.pod)
			if d := cmp.Diff(test.want, podTable.Cells(pod)); d != "" {
				t.Errorf("cells (-want +got):\n%s", d)
			}
		})
	}
}

// cells are those of a pod of which nothing is known but how it is doing.
func cells(ready, status string) []any {
	return []any{"", ready, status, "0", "<unknown>", "<none>", "<none>", "<none>", "<none>"}
}

func TestNodeCells(t *testing.T) {
	for _, test := range []struct {
		name, node string
		want       []any
	}{
		{
			"new", `{metadata: {name: worker}}`,
			[]any{"worker", "Unknown", "<none>", "<unknown>", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"},
		},
		{
			"ready", `
metadata: {name: worker, labels: {node-role.kubernetes.io/b: "", kubernetes.io/role: a, node-role.kubernetes.io/: ""}}
spec: {unschedulable: true}
status:
  conditions: [{type: Ready, status: "True"}]
  addresses: [{type: InternalIP, address: 10.0.0.1}, {type: ExternalIP, address: 192.0.2.1}]
  nodeInfo: {kubeletVersion: v1, osImage: Linux, kernelVersion: "6", architecture: arm64, containerRuntimeVersion: c}
`,
			[]any{"worker", "Ready,SchedulingDisabled", "a,b", "<unknown>", "v1", "10.0.0.1", "192.0.2.1", "Linux", "6 (arm64)", "c"},
		},
		{
			"not ready", `{metadata: {name: worker}, status: {conditions: [{type: Ready, status: Unknown}]}}`,
			[]any{"worker", "NotReady", "<none>", "<unknown>", "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if d := cmp.Diff(test.want, nodeTable.Cells(parse[corev1.Node](t, test.node))); d != "" {
				t.Errorf("cells (-want +got):\n%s", d)
			}
		})
	}
}

func TestTableOfList(t *testing.T) {
	list := &corev1.SecretList{ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "more"}}
	list.Items = []corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Type: "t", Data: map[string][]byte{"a": nil}}}
	got, err := secretTable.ConvertToTable(context.Background(), list, &metav1.TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, column := range got.ColumnDefinitions {
		names = append(names, column.Name)
	}
	if d := cmp.Diff([]string{"Name", "Type", "Data", "Age"}, names); d != "" {
		t.Errorf("columns (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]any{"s", "t", int64(1), "<unknown>"}, got.Rows[0].Cells); d != "" {
		t.Errorf("cells (-want +got):\n%s", d)
	}
	if got.ResourceVersion != "7" || got.Continue != "more" {
		t.Errorf("resource version %q, continue %q", got.ResourceVersion, got.Continue)
	}
}

func TestTableOfNothing(t *testing.T) {
	got, err := podTable.ConvertToTable(context.Background(), &corev1.PodList{}, &metav1.TableOptions{NoHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	diffText(t, "table", string(text), `{"metadata":{},"columnDefinitions":null,"rows":[]}`)
}

func TestTableOfEndedPod(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}
	got, err := podTable.ConvertToTable(context.Background(), pod, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []metav1.TableRowCondition{{
		Type: "Completed", Status: "True", Reason: "Succeeded", Message: "The pod has completed successfully.",
	}}
	if d := cmp.Diff(want, got.Rows[0].Conditions); d != "" {
		t.Errorf("conditions (-want +got):\n%s", d)
	}
}

// A column without its description would mean that the documentation of the types has changed.
func TestColumnsAreDescribed(t *testing.T) {
	for _, columns := range [][]metav1.TableColumnDefinition{
		podTable.Columns, nodeTable.Columns, secretTable.Columns, serviceAccountTable.Columns, namespaceTable.Columns,
	} {
		for _, column := range columns {
			if column.Description == "" {
				t.Errorf("column %s has no description", column.Name)
			}
		}
	}
}
