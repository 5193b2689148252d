package registry

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var MetadataPath = field.NewPath("metadata")

// ValidateMetadata checks what all objects carry; name says which names the kind may have.
func ValidateMetadata(meta *metav1.ObjectMeta, namespaced bool, name validation.ValidateNameFunc) field.ErrorList {
	errs := validation.ValidateObjectMeta(meta, namespaced, name, MetadataPath)
	for i, finalizer := range meta.Finalizers {
		errs = append(errs, validateBareFinalizer(finalizer, MetadataPath.Child("finalizers").Index(i))...)
	}
	return errs
}

// ValidateMetadataUpdate checks that what must not change didn't. The library has made the same check already, and a
// client sees both, as it does from a kube-apiserver.
func ValidateMetadataUpdate(meta, old *metav1.ObjectMeta) field.ErrorList {
	return validation.ValidateObjectMetaUpdate(meta, old, MetadataPath)
}

// validateFinalizer checks one finalizer of a list that isn't part of the metadata.
func ValidateFinalizer(name string, path *field.Path) field.ErrorList {
	return append(validation.ValidateFinalizerName(name, path), validateBareFinalizer(name, path)...)
}

// standardFinalizers are the only ones without a domain in their name.
var standardFinalizers = []string{
	string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents,
}

func validateBareFinalizer(name string, path *field.Path) field.ErrorList {
	if strings.Contains(name, "/") || slices.Contains(standardFinalizers, name) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")}
}

// Problems is what check finds wrong with a value.
func Problems(path *field.Path, value string, check func(string) []string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range check(value) {
		errs = append(errs, field.Invalid(path, value, problem))
	}
	return errs
}

// oneOf is an error unless the value is one of the supported ones. No value is another error: fields like these have
// defaults, so whoever sees it has cleared one on purpose.
func OneOf[T ~string](path *field.Path, value T, supported ...T) field.ErrorList {
	switch {
	case value == "":
		return field.ErrorList{field.Required(path, "")}
	case !slices.Contains(supported, value):
		return field.ErrorList{field.NotSupported(path, value, supported)}
	}
	return nil
}
