package registry

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// MetadataPath is the path of an object's metadata in errors.
var MetadataPath = field.NewPath("metadata")

// ValidateMetadata checks an object's metadata. The function name checks the names of the kind.
func ValidateMetadata(meta *metav1.ObjectMeta, namespaced bool, name validation.ValidateNameFunc) field.ErrorList {
	errs := validation.ValidateObjectMeta(meta, namespaced, name, MetadataPath)
	for i, finalizer := range meta.Finalizers {
		errs = append(errs, validateBareFinalizer(finalizer, MetadataPath.Child("finalizers").Index(i))...)
	}
	return errs
}

// ValidateMetadataUpdate checks that immutable metadata didn't change. The library makes the same check before, and clients get
// the errors of both, as from a kube-apiserver.
func ValidateMetadataUpdate(meta, old *metav1.ObjectMeta) field.ErrorList {
	return validation.ValidateObjectMetaUpdate(meta, old, MetadataPath)
}

// ValidateFinalizer checks a finalizer in a list outside the metadata.
func ValidateFinalizer(name string, path *field.Path) field.ErrorList {
	return append(validation.ValidateFinalizerName(name, path), validateBareFinalizer(name, path)...)
}

// standardFinalizers are the only finalizers without a domain in their name.
var standardFinalizers = []string{
	string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents,
}

func validateBareFinalizer(name string, path *field.Path) field.ErrorList {
	if strings.Contains(name, "/") || slices.Contains(standardFinalizers, name) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified")}
}

// Problems returns an error for each problem that check finds in a value.
func Problems(path *field.Path, value string, check func(string) []string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range check(value) {
		errs = append(errs, field.Invalid(path, value, problem))
	}
	return errs
}

// OneOf returns an error unless the value is a supported one. An empty value is a missing one: fields of this kind have
// defaults, so a client must have cleared it.
func OneOf[T ~string](path *field.Path, value T, supported ...T) field.ErrorList {
	switch {
	case value == "":
		return field.ErrorList{field.Required(path, "")}
	case !slices.Contains(supported, value):
		return field.ErrorList{field.NotSupported(path, value, supported)}
	}
	return nil
}
