package serviceaccount_test

import corev1 "k8s.io/api/core/v1"

// podOn is the pod ns/p of ns/app, on a node.
func podOn(node string) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{ServiceAccountName: "app", NodeName: node}}
	pod.Namespace, pod.Name, pod.UID = "ns", "p", "u5"
	return pod
}

func nodeObject(name string) *corev1.Node {
	node := &corev1.Node{}
	node.Name, node.UID = name, "u6"
	return node
}

func objectNamed(name string) corev1.ObjectReference { return corev1.ObjectReference{Name: name} }
