package projectedvolume

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// fields adds the files of a downwardAPI source.
func (g *gathering) fields(source *corev1.DownwardAPIProjection) error {
	var errs []error
	for i := range source.Items {
		item := &source.Items[i]
		var content string
		var err error
		switch {
		case item.FieldRef != nil:
			content, err = field(g.pod, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			content, err = containerResource(g.pod, item.ResourceFieldRef)
		}
		if err == nil {
			err = g.add(item.Path, []byte(content), g.itemOwnership(item.Mode))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// field is the text of a field of the pod.
func field(pod *corev1.Pod, path string) (string, error) {
	name, subscript, subscripted := strings.Cut(path, "['")
	if subscripted {
		key, ok := strings.CutSuffix(subscript, "']")
		switch {
		case ok && name == "metadata.labels":
			return pod.Labels[key], nil
		case ok && name == "metadata.annotations":
			return pod.Annotations[key], nil
		}
		return "", permanent(fmt.Errorf("field label does not support subscript: %s", path))
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return formatMap(pod.Labels), nil
	case "metadata.annotations":
		return formatMap(pod.Annotations), nil
	}
	return "", permanent(fmt.Errorf("field label not supported: %s", path))
}

// formatMap writes labels or annotations one a line, sorted, without a line break at the end.
func formatMap(m map[string]string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, key+"="+strconv.Quote(m[key]))
	}
	return strings.Join(lines, "\n")
}

// containerResource is a limit or a request of a container, in multiples of the divisor, rounded up.
func containerResource(pod *corev1.Pod, ref *corev1.ResourceFieldSelector) (string, error) {
	resources, err := resourcesOf(pod, ref.ContainerName)
	if err != nil {
		return "", err
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := resources.Requests
	if kind == "limits" {
		list = resources.Limits
	}
	quantity, ok := list[corev1.ResourceName(name)]
	switch {
	case ok || kind == "requests":
	case name == string(corev1.ResourceCPU):
		quantity = *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI)
	default:
		return "", permanent(fmt.Errorf("container %s has no %s, and the agent does not know how much the machine has: set the limit", ref.ContainerName, ref.Resource))
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if name == string(corev1.ResourceCPU) {
		return roundUp(quantity.MilliValue(), divisor.MilliValue()), nil
	}
	return roundUp(quantity.Value(), divisor.Value()), nil
}

func roundUp(value, divisor int64) string {
	result := value / divisor
	if value%divisor > 0 {
		result++
	}
	return strconv.FormatInt(result, 10)
}

func resourcesOf(pod *corev1.Pod, container string) (corev1.ResourceRequirements, error) {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			if containers[i].Name == container {
				return containers[i].Resources, nil
			}
		}
	}
	return corev1.ResourceRequirements{}, permanent(fmt.Errorf("container %s not found", container))
}
