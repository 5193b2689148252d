package admission_test

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// parse reads an object from YAML.
func parse[T any](t *testing.T, text string) T {
	t.Helper()
	var object T
	if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return object
}

// register creates a node's Node object and returns what makes a pod a mirror pod of it.
func register(t *testing.T, kubelet kubernetes.Interface, name string) (mirror func(*corev1.Pod)) {
	t.Helper()
	object, err := kubelet.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	controls := true
	return func(pod *corev1.Pod) {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: name, UID: object.UID, Controller: &controls}}
	}
}

// references to secrets, as parts of a pod's spec.
var references = map[string]string{
	"pull secret":                `imagePullSecrets: [{name: s}]`,
	"environment":                `containers: [{name: main, image: none, envFrom: [{secretRef: {name: s}}]}]`,
	"variable":                   `containers: [{name: main, image: none, env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]}]`,
	"init container":             `initContainers: [{name: i, image: none, envFrom: [{secretRef: {name: s}}]}]`,
	"secret volume":              `volumes: [{name: v, secret: {secretName: s, optional: true}}]`,
	"projected secret":           `volumes: [{name: v, projected: {sources: [{secret: {name: s}}]}}]`,
	"azureFile":                  `volumes: [{name: v, azureFile: {secretName: s, shareName: x}}]`,
	"cephfs":                     `volumes: [{name: v, cephfs: {monitors: [m], secretRef: {name: s}}}]`,
	"cinder":                     `volumes: [{name: v, cinder: {volumeID: x, secretRef: {name: s}}}]`,
	"csi":                        `volumes: [{name: v, csi: {driver: d.example, nodePublishSecretRef: {name: s}}}]`,
	"flexVolume":                 `volumes: [{name: v, flexVolume: {driver: d, secretRef: {name: s}}}]`,
	"iscsi":                      `volumes: [{name: v, iscsi: {targetPortal: 10.0.0.1, iqn: "iqn.2001-04.example:x", lun: 0, secretRef: {name: s}}}]`,
	"rbd":                        `volumes: [{name: v, rbd: {monitors: [m], image: i, secretRef: {name: s}}}]`,
	"scaleIO":                    `volumes: [{name: v, scaleIO: {gateway: g, system: x, volumeName: vol, secretRef: {name: s}}}]`,
	"storageos":                  `volumes: [{name: v, storageos: {volumeName: x, secretRef: {name: s}}}]`,
	"second volume of the pod":   `volumes: [{name: v, emptyDir: {}}, {name: w, azureFile: {secretName: s, shareName: x}}]`,
	"second source of a volume":  `volumes: [{name: v, projected: {sources: [{downwardAPI: {items: []}}, {secret: {name: s}}]}}]`,
	"second of two pull secrets": `imagePullSecrets: [{name: ""}, {name: s}]`,
}

// By whatever field a pod names a secret: its node may read the secret, and for that reason can't create such a pod.
func TestReferencesToSecrets(t *testing.T) {
	t.Parallel()
	kubelet, admin := node(t, "n1")
	mirror := register(t, kubelet, "n1")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}
	if _, err := admin.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for what, text := range references {
		spec := func(pod *corev1.Pod) {
			containers := pod.Spec.Containers
			pod.Spec = parse[corev1.PodSpec](t, text)
			pod.Spec.NodeName = "n1"
			if pod.Spec.Containers == nil {
				pod.Spec.Containers = containers
			}
		}
		_, err := kubelet.CoreV1().Pods("default").Create(t.Context(), podOn("n1", "mirror", mirror, spec), metav1.CreateOptions{})
		refused(t, what, err, `pods "mirror" is forbidden: node "n1" can not create pods that reference secrets`)
		_, err = kubelet.CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
		refused(t, what+", before there is a pod", err, "no relationship found between node 'n1' and this object")
		if _, err := admin.CoreV1().Pods("default").Create(t.Context(), podOn("n1", "web", spec), metav1.CreateOptions{}); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_, err = kubelet.CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
		refused(t, what+", with a pod", err, "")
		now := int64(0)
		if err := admin.CoreV1().Pods("default").Delete(t.Context(), "web", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			t.Fatal(err)
		}
	}
}

// What a mirror pod's volumes need of the API, beside the kinds of volumes for which there are recorded answers.
func TestMirrorPodVolumes(t *testing.T) {
	t.Parallel()
	kubelet, _ := node(t, "n1")
	mirror := register(t, kubelet, "n1")
	for i, test := range []struct{ volume, reference string }{
		{`{glusterfs: {endpoints: e, path: x}}`, "endpoints (via glusterFS volumes)"},
		{`{azureFile: {secretName: "", shareName: x}}`, "secrets (via azureFile volumes)"},
		{`{secret: {}}`, "secrets (via secret volumes)"},
		{`{configMap: {}}`, "configmaps (via configmap volumes)"},
		{`{projected: {sources: [{secret: {}}]}}`, "secrets (via projected volumes)"},
		{`{projected: {sources: [{configMap: {}}]}}`, "configmaps (via projected volumes)"},
		{`{projected: {sources: [{downwardAPI: {}}, {clusterTrustBundle: {name: b, path: x}}]}}`, "clustertrustbundles"},
		{`{projected: {sources: [{podCertificate: {signerName: a.example/b, keyType: ED25519, credentialBundlePath: x}}]}}`, "podcertificates"},
		{`{projected: {sources: []}}`, ""},
		{`{cephfs: {monitors: [m]}}`, ""},
		{`{flexVolume: {driver: d, secretRef: {name: ""}}}`, ""},
		{`{image: {reference: none}}`, ""},
		{`{fc: {wwids: [x]}}`, ""},
	} {
		name := fmt.Sprintf("m%d", i)
		_, err := kubelet.CoreV1().Pods("default").Create(t.Context(), podOn("n1", name, mirror, func(pod *corev1.Pod) {
			source := parse[corev1.VolumeSource](t, test.volume)
			pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: source}}
		}), metav1.CreateOptions{})
		want := test.reference
		if want != "" {
			want = `node "n1" can not create pods that reference ` + want
		}
		refused(t, test.volume, err, want)
	}
}

// NodeRestriction of kube-apiserver has rules for more resources. One that is served needs its rule here.
func TestNodeRestrictionKnowsWhatIsServed(t *testing.T) {
	t.Parallel()
	_, admin := node(t, "n1")
	missing := []string{
		"csinodes", "resourceslices", "persistentvolumeclaims", "podcertificaterequests", "pods/eviction",
	}
	_, lists, err := admin.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		for _, resource := range list.APIResources {
			if slices.Contains(missing, resource.Name) {
				t.Errorf("%s of %s is served, so NodeRestriction needs a rule for it", resource.Name, list.GroupVersion)
			}
		}
	}
}
