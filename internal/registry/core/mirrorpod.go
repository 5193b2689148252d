package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/registry"
)

// mirrorPath is the annotation of mirror pods: a node's agent runs the pod from a file. The Node authorizer grants nothing for
// such a pod.
var mirrorPath = registry.MetadataPath.Child("annotations").Key(corev1.MirrorPodAnnotationKey)

func validateMirrorAnnotation(pod *corev1.Pod) field.ErrorList {
	if value, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror && pod.Spec.NodeName == "" {
		return field.ErrorList{field.Invalid(mirrorPath, value, "must set spec.nodeName if mirror pod annotation is set")}
	}
	return nil
}

// validateMirrorAnnotationUpdate checks that the annotation is neither added nor changed nor removed.
func validateMirrorAnnotationUpdate(pod, old *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	value, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	before, was := old.Annotations[corev1.MirrorPodAnnotationKey]
	switch {
	case was && (!mirror || value != before):
		errs = append(errs, field.Forbidden(mirrorPath, "may not remove or update mirror pod annotation"))
	case mirror && !was:
		errs = append(errs, field.Forbidden(mirrorPath, "may not add mirror pod annotation"))
	}
	return append(errs, validateMirrorAnnotation(pod)...)
}
