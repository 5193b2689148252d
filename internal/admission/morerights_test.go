package admission_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// allowAll binds a node to cluster-admin, so that nothing but NodeRestriction holds it back.
func allowAll(t *testing.T, admin kubernetes.Interface, node string) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "node"},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "system:node:" + node}},
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// A role doesn't help against NodeRestriction. A collection is deleted without an error, and without effect.
func TestNodeWithMoreRights(t *testing.T) {
	t.Parallel()
	kubelet, admin := node(t, "n1")
	allowAll(t, admin, "n1")
	for _, pod := range []*corev1.Pod{podOn("n1", "mine"), podOn("n2", "theirs"), podOn("", "loose")} {
		if _, err := admin.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	pods := kubelet.CoreV1().Pods("default")
	label := []byte(`{"metadata":{"labels":{"a":"b"}}}`)
	for _, name := range []string{"mine", "theirs"} {
		for _, how := range []types.PatchType{types.MergePatchType, types.ApplyPatchType} {
			patch, options := label, metav1.PatchOptions{}
			if how == types.ApplyPatchType {
				patch = []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + name + `","labels":{"a":"b"}}}`)
				options.FieldManager = "kubelet"
			}
			_, err := pods.Patch(t.Context(), name, how, patch, options)
			refused(t, "change "+name, err, `unexpected operation "UPDATE", node "n1" can only create and delete mirror pods`)
		}
	}
	err := pods.Bind(t.Context(), &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: "loose"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n1"},
	}, metav1.CreateOptions{})
	refused(t, "bind a pod to itself", err, "unexpected pod subresource \"binding\", only 'status' and 'eviction' are allowed")
	_, err = pods.Patch(t.Context(), "mine", types.MergePatchType, label, metav1.PatchOptions{}, "status")
	refused(t, "label a pod through its status", err, "cannot update labels through pod status")
	_, err = pods.Create(t.Context(), podOn("n1", "another"), metav1.CreateOptions{})
	refused(t, "create an ordinary pod", err, "can only create mirror pods")

	err = pods.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	refused(t, "delete all pods", err, "")
	if left, err := admin.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); err != nil || len(left.Items) != 3 {
		t.Errorf("%d of 3 pods are left: %v", len(left.Items), err)
	}
	err = kubelet.CoreV1().Nodes().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
	refused(t, "delete no nodes", err, "") // there are none, so the plugin isn't asked
}

// The fields of a Node object by which it draws pods to itself are not its own to change, under whichever path.
func TestNodeKeepsItsRank(t *testing.T) {
	t.Parallel()
	kubelet, admin := node(t, "n1")
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: "u"},
	}}}
	if _, err := admin.CoreV1().Nodes().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for patch, text := range map[string]string{
		`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`: "is not allowed to modify labels: node-role.kubernetes.io/control-plane",
		`{"metadata":{"labels":{"node.k8s.io/a":"1","example.com/b":"1"}}}`:    "is not allowed to modify labels: node.k8s.io/a",
		`{"metadata":{"labels":{"xnode.kubernetes.io/a":"1"}}}`:                "is not allowed to modify labels: xnode.kubernetes.io/a",
		`{"metadata":{"labels":{"kubernetes.io/instance-type":"1"}}}`:          "is not allowed to modify labels: kubernetes.io/instance-type",
		`{"metadata":{"ownerReferences":null}}`:                                `node "n1" is not allowed to modify ownerReferences`,
		`{"metadata":{"labels":{"feature.node.kubernetes.io/a":"1"}}}`:         "",
		`{"metadata":{"labels":{"x.kubelet.kubernetes.io/a":"1"}}}`:            "",
		`{"metadata":{"labels":{"mykubernetes.io/x":"1"}}}`:                    "",
		`{"metadata":{"labels":{"kubernetes.io":"1"}}}`:                        "",
		`{"metadata":{"annotations":{"a":"b"},"finalizers":["a.example/b"]}}`:  "",
	} {
		for _, subresource := range [][]string{nil, {"status"}} {
			_, err := kubelet.CoreV1().Nodes().Patch(t.Context(), "n1", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, subresource...)
			refused(t, patch, err, text)
		}
	}
	taint := []byte(`{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}`)
	for _, subresource := range [][]string{nil, {"status"}} {
		_, err := kubelet.CoreV1().Nodes().Patch(t.Context(), "n1", types.MergePatchType, taint, metav1.PatchOptions{}, subresource...)
		refused(t, "taint itself", err, `node "n1" is not allowed to modify taints`)
	}
}

func TestNewNodeHasItsOwnTaints(t *testing.T) {
	t.Parallel()
	kubelet, _ := node(t, "n1")
	register(t, kubelet, "n1")
	object, err := kubelet.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil || len(object.Spec.Taints) != 0 {
		t.Errorf("%v, %v; want no taints", object.Spec.Taints, err)
	}
}
