package authz

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/internal/view"
)

// NodeRelations is which objects the pods of a node need. It follows the view of pods through Changed: a relation begins
// with a pod's binding to the node and ends with the pod, at once.
type NodeRelations struct {
	mu    sync.RWMutex
	pods  map[view.Key][]relation
	count map[relation]int
}

// relation is that a node needs an object.
type relation struct{ node, resource, namespace, name string }

// NewNodeRelations returns no relations.
func NewNodeRelations() *NodeRelations {
	return &NodeRelations{pods: map[view.Key][]relation{}, count: map[relation]int{}}
}

// Changed takes in a pod that was created, changed or deleted.
func (n *NodeRelations) Changed(key view.Key, obj runtime.Object) {
	var now []relation
	if pod, ok := obj.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		now = relationsOf(pod)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.pods[key] {
		if n.count[r]--; n.count[r] == 0 {
			delete(n.count, r)
		}
	}
	if now == nil {
		delete(n.pods, key)
		return
	}
	n.pods[key] = now
	for _, r := range now {
		n.count[r]++
	}
}

func (n *NodeRelations) related(r relation) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.count[r] > 0
}

// relationsOf returns what a pod needs. One that mirrors a static pod gives its node nothing: the node itself made it.
func relationsOf(pod *corev1.Pod) []relation {
	to := func(resource, name string) relation {
		return relation{pod.Spec.NodeName, resource, pod.Namespace, name}
	}
	list := []relation{to("pods", pod.Name)}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return list
	}
	add := func(resource, name string) {
		if name != "" {
			list = append(list, to(resource, name))
		}
	}
	add("serviceaccounts", pod.Spec.ServiceAccountName)
	VisitReferences(&pod.Spec, add)
	return list
}

// VisitReferences calls visit with every secret and config map that a pod mentions.
func VisitReferences(spec *corev1.PodSpec, visit func(resource, name string)) {
	for _, s := range spec.ImagePullSecrets {
		visit("secrets", s.Name)
	}
	containers := append(append([]corev1.Container{}, spec.InitContainers...), spec.Containers...)
	for _, c := range spec.EphemeralContainers {
		containers = append(containers, corev1.Container(c.EphemeralContainerCommon))
	}
	for i := range containers {
		visitEnvironment(&containers[i], visit)
	}
	for i := range spec.Volumes {
		visitVolume(&spec.Volumes[i].VolumeSource, visit)
	}
}

func visitEnvironment(c *corev1.Container, visit func(resource, name string)) {
	for _, from := range c.EnvFrom {
		if from.SecretRef != nil {
			visit("secrets", from.SecretRef.Name)
		}
		if from.ConfigMapRef != nil {
			visit("configmaps", from.ConfigMapRef.Name)
		}
	}
	for _, env := range c.Env {
		if env.ValueFrom == nil {
			continue
		}
		if ref := env.ValueFrom.SecretKeyRef; ref != nil {
			visit("secrets", ref.Name)
		}
		if ref := env.ValueFrom.ConfigMapKeyRef; ref != nil {
			visit("configmaps", ref.Name)
		}
	}
}

func visitVolume(v *corev1.VolumeSource, visit func(resource, name string)) {
	if name := volumeSecret(v); name != "" {
		visit("secrets", name)
	}
	if v.ConfigMap != nil {
		visit("configmaps", v.ConfigMap.Name)
	}
	if v.Projected == nil {
		return
	}
	for _, source := range v.Projected.Sources {
		if source.Secret != nil {
			visit("secrets", source.Secret.Name)
		}
		if source.ConfigMap != nil {
			visit("configmaps", source.ConfigMap.Name)
		}
	}
}

// volumeSecret returns the name of the secret that a volume is mounted with, or is made of.
func volumeSecret(v *corev1.VolumeSource) string {
	var ref *corev1.LocalObjectReference
	switch {
	case v.Secret != nil:
		return v.Secret.SecretName
	case v.AzureFile != nil:
		return v.AzureFile.SecretName
	case v.CephFS != nil:
		ref = v.CephFS.SecretRef
	case v.Cinder != nil:
		ref = v.Cinder.SecretRef
	case v.CSI != nil:
		ref = v.CSI.NodePublishSecretRef
	case v.FlexVolume != nil:
		ref = v.FlexVolume.SecretRef
	case v.ISCSI != nil:
		ref = v.ISCSI.SecretRef
	case v.RBD != nil:
		ref = v.RBD.SecretRef
	case v.ScaleIO != nil:
		ref = v.ScaleIO.SecretRef
	case v.StorageOS != nil:
		ref = v.StorageOS.SecretRef
	}
	if ref == nil {
		return ""
	}
	return ref.Name
}
