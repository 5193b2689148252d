package admission_test

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

// node returns the client of a node, and that of the administrator.
func node(t *testing.T, name string) (kubelet, admin kubernetes.Interface) {
	t.Helper()
	server := testserver.Start(t, "--controllers=")
	config := server.AdminConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + name, Groups: []string{"system:nodes"}}
	kubelet, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return kubelet, server.Admin()
}

func podOn(node, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "main", Image: "none"}}},
	}
	for _, change := range change {
		change(pod)
	}
	return pod
}

// refused checks that an error says why something was refused; nothing was, with an empty text.
func refused(t *testing.T, what string, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case text != "" && (err == nil || !strings.Contains(err.Error(), text)):
		t.Errorf("%s: %v; want %s", what, err, text)
	}
}

func TestNodeKeepsToItself(t *testing.T) {
	t.Parallel()
	kubelet, admin := node(t, "n1")
	for _, pod := range []*corev1.Pod{podOn("n1", "mine"), podOn("n2", "theirs")} {
		if _, err := admin.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := kubelet.CoreV1().Pods("default").Get(t.Context(), "mine", metav1.GetOptions{})
	refused(t, "read an own pod", err, "")
	_, err = kubelet.CoreV1().Pods("default").Get(t.Context(), "theirs", metav1.GetOptions{})
	refused(t, "read another's pod", err, "no relationship found between node 'n1' and this object")
	_, err = kubelet.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	refused(t, "list all pods", err, "spec.nodeName field selector")
	_, err = kubelet.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=n1"})
	refused(t, "list the own pods", err, "")
	status := []byte(`{"status":{"phase":"Running"}}`)
	_, err = kubelet.CoreV1().Pods("default").Patch(t.Context(), "mine", types.MergePatchType, status, metav1.PatchOptions{}, "status")
	refused(t, "tell of an own pod", err, "")
	_, err = kubelet.CoreV1().Pods("default").Patch(t.Context(), "theirs", types.MergePatchType, status, metav1.PatchOptions{}, "status")
	refused(t, "tell of another's pod", err, "spec.nodeName set to itself")
	err = kubelet.CoreV1().Pods("default").Delete(t.Context(), "theirs", metav1.DeleteOptions{})
	refused(t, "delete another's pod", err, "spec.nodeName set to itself")
	_, err = kubelet.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}, metav1.CreateOptions{})
	refused(t, "register as another", err, `is not allowed to modify node "n2"`)
	_, err = kubelet.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, metav1.CreateOptions{})
	refused(t, "register", err, "")
	_, err = kubelet.CoreV1().Nodes().Patch(t.Context(), "n1", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"node-restriction.kubernetes.io/zone":"safe"}}}`), metav1.PatchOptions{})
	refused(t, "move into a restricted zone", err, "is not allowed to modify labels")
}

// What a pod wants is read off its own volumes alone: there are no volume drivers and claims that could want a token, too.
func TestNodeGetsWhatVolumesWant(t *testing.T) {
	t.Parallel()
	kubelet, admin := node(t, "n1")
	if _, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod, err := admin.CoreV1().Pods("default").Create(t.Context(), podOn("n1", "web", func(pod *corev1.Pod) {
		pod.Spec.ServiceAccountName = "app"
		pod.Spec.Volumes = []corev1.Volume{
			{Name: "driver", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "vault"}}},
			{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "t", Audience: "bank"}}},
			}}},
		}
	}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for audience, text := range map[string]string{"bank": "", "vault": `audience "vault" not found in pod spec volume`} {
		_, err := kubelet.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "app", &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{
				Audiences:      []string{audience},
				BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "web", UID: pod.UID},
			},
		}, metav1.CreateOptions{})
		refused(t, audience, err, text)
	}
}
