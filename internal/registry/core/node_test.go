package core

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/mintmark/mintmark/internal/registry"
)

func TestNodeCreate(t *testing.T) {
	const invalid = `Node "worker" is invalid: `
	for _, test := range []struct{ name, node, want string }{
		{"empty", `{}`, ""},
		{"with status", `{status: {capacity: {cpu: 500m, memory: 1Gi, pods: "110", example.com/gpu: "2"}}}`, ""},
		{"one network of each family", `{spec: {podCIDRs: [10.0.0.0/24, "fd00::/64"]}}`, ""},
		{
			"negative", `{status: {capacity: {cpu: "-1"}, allocatable: {cpu: "1"}}}`,
			invalid + `status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0`,
		},
		{
			"taints", `{spec: {taints: [{key: a, effect: NoSchedule}, {key: a, effect: NoSchedule}, {key: b, effect: Never}, {key: c}]}}`,
			invalid + `[metadata.taints[1]: Duplicate value: {"key":"a","effect":"NoSchedule"}: taints must be unique by key and effect pair, ` +
				`metadata.taints[2].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute", ` +
				`metadata.taints[3].effect: Required value]`,
		},
		{
			"two networks of one family", `{spec: {podCIDRs: [10.0.0.0/24, 10.0.1.0/24]}}`,
			invalid + `spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one CIDR for each IP family`,
		},
		{
			"no network", `{spec: {podCIDR: here}}`,
			invalid + `spec.podCIDRs[0]: Invalid value: "here": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := parse[corev1.Node](t, test.node)
			node.Name = "worker"
			got, _ := create(nodeStrategy{registry.ClusterStrategy}, node)
			diffText(t, "error", got, test.want)
		})
	}
}

func TestNodeUpdate(t *testing.T) {
	const invalid = `Node "worker" is invalid: `
	const old = `{spec: {podCIDR: 10.0.0.0/24, providerID: here}, status: {capacity: {cpu: "1"}}}`
	for _, test := range []struct{ name, node, want string }{
		{"cordon", `{spec: {podCIDR: 10.0.0.0/24, providerID: here, unschedulable: true}}`, ""},
		{
			"network", `{spec: {podCIDR: 10.0.1.0/24, providerID: here}}`,
			invalid + `spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`,
		},
		{
			"provider", `{spec: {podCIDR: 10.0.0.0/24, providerID: there}}`,
			invalid + `spec.providerID: Forbidden: node updates may not change providerID except from "" to valid`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := nodeStrategy{registry.ClusterStrategy}
			old, node := parse[corev1.Node](t, old), parse[corev1.Node](t, test.node)
			old.Name, node.Name = "worker", "worker"
			if got, _ := create(s, old); got != "" {
				t.Fatal(got)
			}
			got, _ := update(s, node, old)
			diffText(t, "error", got, test.want)
			if got == "" && node.Status.Capacity.Cpu().String() != "1" {
				t.Errorf("an update of the node changes its status")
			}
		})
	}
}

func TestNodeStatusUpdateKeepsSpec(t *testing.T) {
	s := nodeStatusStrategy{nodeStrategy{registry.ClusterStrategy}}
	old := parse[corev1.Node](t, `metadata: {name: worker}`)
	if got, _ := create(s, old); got != "" {
		t.Fatal(got)
	}
	node := parse[corev1.Node](t, `
metadata: {name: worker}
spec: {unschedulable: true}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}, {type: InternalIP, address: 10.0.0.1}]}
`)
	got, _ := update(s, node, old)
	diffText(t, "error", got, `Node "worker" is invalid: status.addresses[1]: Duplicate value: {"type":"InternalIP","address":"10.0.0.1"}`)
	if node.Spec.Unschedulable {
		t.Errorf("an update of the status changes the spec")
	}
}
