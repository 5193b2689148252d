package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/registry"
)

// validateDownwardAPIFile checks a file with a field of the pod or a resource of a container. Errors don't say which of the
// files of a volume they are about.
func validateDownwardAPIFile(file *corev1.DownwardAPIVolumeFile, at *field.Path) field.ErrorList {
	errs := validateFilePath(file.Path, at.Child("path"))
	switch {
	case file.FieldRef != nil:
		errs = append(errs, validateVolumeFieldRef(file.FieldRef, at.Child("fieldRef"))...)
		if file.ResourceFieldRef != nil {
			errs = append(errs, field.Invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		}
	case file.ResourceFieldRef != nil:
		errs = append(errs, validateVolumeResourceRef(file.ResourceFieldRef, at.Child("resourceFieldRef"))...)
	default:
		errs = append(errs, field.Required(at, "one of fieldRef and resourceFieldRef is required"))
	}
	return append(errs, validateMode(file.Mode, at.Child("mode"))...)
}

var (
	// volumeFields are the fields of a pod that a volume can show.
	volumeFields = []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
	// otherFields can be shown in the environment of a container only.
	otherFields = []string{
		"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.phase", "status.podIP", "status.podIPs",
	}
)

func validateVolumeFieldRef(ref *corev1.ObjectFieldSelector, at *field.Path) field.ErrorList {
	if ref.APIVersion == "" {
		return field.ErrorList{field.Required(at.Child("apiVersion"), "")}
	}
	if ref.FieldPath == "" {
		return field.ErrorList{field.Required(at.Child("fieldPath"), "")}
	}
	name, key, subscripted := splitSubscript(ref.FieldPath)
	if problem := unknownField(ref, name, subscripted); problem != "" {
		return field.ErrorList{field.Invalid(at.Child("fieldPath"), ref.FieldPath, "error converting fieldPath: "+problem)}
	}
	if subscripted {
		if name == "metadata.annotations" {
			key = strings.ToLower(key)
		}
		return registry.Problems(at, key, utilvalidation.IsQualifiedName)
	}
	if name == olderNodeName {
		name = "spec.nodeName"
	}
	if !slices.Contains(volumeFields, name) {
		return field.ErrorList{field.NotSupported(at.Child("fieldPath"), name, volumeFields)}
	}
	return nil
}

// splitSubscript splits metadata.labels['key'] into its two parts.
func splitSubscript(fieldPath string) (name, key string, subscripted bool) {
	if rest, ok := strings.CutSuffix(fieldPath, "']"); ok {
		name, key, ok = strings.Cut(rest, "['")
		if ok && name != "" {
			return name, key, true
		}
	}
	return fieldPath, "", false
}

// olderNodeName is how earlier releases called spec.nodeName.
const olderNodeName = "spec.host"

// unknownField says why pods don't have the field that ref names, or nothing if they have it.
func unknownField(ref *corev1.ObjectFieldSelector, name string, subscripted bool) string {
	switch {
	case ref.APIVersion != "v1":
		return "unsupported pod version: " + ref.APIVersion
	case subscripted && name != "metadata.annotations" && name != "metadata.labels":
		return "field label does not support subscript: " + ref.FieldPath
	case !slices.Contains(volumeFields, name) && !slices.Contains(otherFields, name) && name != olderNodeName:
		return "field label not supported: " + ref.FieldPath
	}
	return ""
}

// volumeResources are the resources of a container that a volume can show, beside those of huge pages.
var volumeResources = []string{
	"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory",
}

func validateVolumeResourceRef(ref *corev1.ResourceFieldSelector, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case ref.ContainerName == "":
		errs = append(errs, field.Required(at.Child("containerName"), ""))
	case ref.Resource == "":
		errs = append(errs, field.Required(at.Child("resource"), ""))
	case !slices.Contains(volumeResources, ref.Resource) && !isHugePages(ref.Resource):
		errs = append(errs, field.NotSupported(at.Child("resource"), ref.Resource, volumeResources))
	}
	return append(errs, validateDivisor(ref, at.Child("divisor"))...)
}

func isHugePages(resource string) bool {
	return strings.HasPrefix(resource, "limits."+corev1.ResourceHugePagesPrefix) ||
		strings.HasPrefix(resource, "requests."+corev1.ResourceHugePagesPrefix)
}

// validateDivisor checks the unit in which a resource is shown.
func validateDivisor(ref *corev1.ResourceFieldSelector, at *field.Path) field.ErrorList {
	if ref.Divisor.IsZero() {
		return nil
	}
	const bytes = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
	var units, text string
	switch _, kind, _ := strings.Cut(ref.Resource, "."); {
	case !slices.Contains(volumeResources, ref.Resource) && !isHugePages(ref.Resource):
		return nil
	case kind == "cpu":
		units, text = "1m, 1", "1m and 1 are supported with the cpu resource"
	case kind == "memory":
		units, text = bytes, bytes+" are supported with the memory resource"
	case kind == "ephemeral-storage":
		units, text = bytes, bytes+" are supported with the local ephemeral storage resource"
	default:
		units, text = bytes, bytes+" are supported with the hugepages resource"
	}
	if slices.Contains(strings.Split(units, ", "), ref.Divisor.String()) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, ref.Resource, "only divisor's values "+text)}
}
