package core

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mintmark/mintmark/internal/registry"
)

// nodeStorage serves nodes.
type nodeStorage struct {
	*genericregistry.Store
}

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.ShortNamesProvider
	rest.SingularNameProvider
} = (*nodeStorage)(nil)

func addNodes(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Plural:    "nodes",
		Singular:  "node",
		NewObject: func() runtime.Object { return &corev1.Node{} },
		NewList:   func() runtime.Object { return &corev1.NodeList{} },
		Strategy:  nodeStrategy{registry.ClusterStrategy},
		Table:     nodeTable,
		Attrs: registry.Selectable(func(node *corev1.Node, set fields.Set) {
			set["spec.unschedulable"] = strconv.FormatBool(node.Spec.Unschedulable)
		}),
	})
	if err != nil {
		return err
	}
	served["nodes"] = &nodeStorage{store}
	served["nodes/status"] = registry.NewSubresource(store, nodeStatusStrategy{nodeStrategy{registry.ClusterStrategy}})
	return nil
}

func (*nodeStorage) ShortNames() []string { return []string{"no"} }

// nodeStrategy serves the resource itself. A create sets the status as well; an update keeps it.
type nodeStrategy struct{ registry.CommonStrategy }

func (nodeStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	dropConfigSource(obj.(*corev1.Node))
}

func (nodeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	node := obj.(*corev1.Node)
	node.Status = old.(*corev1.Node).Status
	dropConfigSource(node)
}

// dropConfigSource drops a field that no kubelet reads any more.
func dropConfigSource(node *corev1.Node) {
	node.Spec.ConfigSource = nil //nolint:staticcheck // clients may still send it
}

func (nodeStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validateNode(obj.(*corev1.Node))
}

func (nodeStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	node := obj.(*corev1.Node)
	return append(validateNode(node), validateNodeUpdate(node, old.(*corev1.Node))...)
}

func (nodeStrategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return warnOfNodeFields(obj.(*corev1.Node))
}

func (nodeStrategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return warnOfNodeFields(obj.(*corev1.Node))
}

func warnOfNodeFields(node *corev1.Node) []string {
	var warnings []string
	if node.Spec.DoNotUseExternalID != "" {
		warnings = append(warnings, "spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	return warnings
}

func (nodeStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFields(fieldpath.MakePathOrDie("status"))
}

// nodeStatusStrategy serves nodes/status.
type nodeStatusStrategy struct{ nodeStrategy }

func (nodeStatusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Node).Spec = old.(*corev1.Node).Spec
}

func (nodeStatusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validateNodeUpdate(obj.(*corev1.Node), old.(*corev1.Node))
}

func (nodeStatusStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (nodeStatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFields(fieldpath.MakePathOrDie("spec"))
}

var (
	nodeStatusDocs = corev1.NodeStatus{}.SwaggerDoc()
	nodeInfoDocs   = corev1.NodeSystemInfo{}.SwaggerDoc()
)

var nodeTable = &registry.Table[*corev1.Node]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("Status", "The status of the node"),
		registry.Column("Roles", "The roles of the node"),
		registry.AgeColumn,
		registry.Column("Version", nodeInfoDocs["kubeletVersion"]),
		registry.WideColumn("Internal-IP", nodeStatusDocs["addresses"]),
		registry.WideColumn("External-IP", nodeStatusDocs["addresses"]),
		registry.WideColumn("OS-Image", nodeInfoDocs["osImage"]),
		registry.WideColumn("Kernel-Version", nodeInfoDocs["kernelVersion"]),
		registry.WideColumn("Container-Runtime", nodeInfoDocs["containerRuntimeVersion"]),
	},
	Cells: func(node *corev1.Node) []any {
		info := node.Status.NodeInfo
		kernel := registry.OrUnknown(info.KernelVersion)
		if info.KernelVersion != "" && info.Architecture != "" {
			kernel += " (" + info.Architecture + ")"
		}
		return []any{
			node.Name, nodeCondition(node), registry.OrNone(strings.Join(nodeRoles(node), ",")), registry.Age(node.CreationTimestamp),
			info.KubeletVersion, nodeAddress(node, corev1.NodeInternalIP), nodeAddress(node, corev1.NodeExternalIP),
			registry.OrUnknown(info.OSImage), kernel, registry.OrUnknown(info.ContainerRuntimeVersion),
		}
	},
}

// nodeCondition returns the text of the column Status.
func nodeCondition(node *corev1.Node) string {
	text := "Unknown"
	for _, condition := range node.Status.Conditions {
		if condition.Type != corev1.NodeReady {
			continue
		}
		text = "NotReady"
		if condition.Status == corev1.ConditionTrue {
			text = "Ready"
		}
	}
	if node.Spec.Unschedulable {
		text += ",SchedulingDisabled"
	}
	return text
}

// nodeRoles returns the roles in a node's labels, which have two forms.
func nodeRoles(node *corev1.Node) []string {
	const rolePrefix, roleLabel = "node-role.kubernetes.io/", "kubernetes.io/role"
	roles := map[string]struct{}{}
	for label, value := range node.Labels {
		if role, ok := strings.CutPrefix(label, rolePrefix); ok && role != "" {
			roles[role] = struct{}{}
		}
		if label == roleLabel && value != "" {
			roles[value] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(roles))
}

func nodeAddress(node *corev1.Node, kind corev1.NodeAddressType) string {
	for _, address := range node.Status.Addresses {
		if address.Type == kind {
			return registry.OrNone(address.Address)
		}
	}
	return registry.OrNone("")
}
