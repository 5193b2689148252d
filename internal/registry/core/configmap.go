package core

import (
	"context"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

// configMapStorage serves configmaps.
type configMapStorage struct {
	*genericregistry.Store
}

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.ShortNamesProvider
	rest.SingularNameProvider
} = (*configMapStorage)(nil)

func addConfigMaps(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Plural:    "configmaps",
		Singular:  "configmap",
		NewObject: func() runtime.Object { return &corev1.ConfigMap{} },
		NewList:   func() runtime.Object { return &corev1.ConfigMapList{} },
		Strategy:  configMapStrategy{registry.NamespacedStrategy},
		Table:     configMapTable,
		Attrs:     registry.Selectable[*corev1.ConfigMap](nil),
	})
	if err != nil {
		return err
	}
	served["configmaps"] = &configMapStorage{store}
	return nil
}

func (*configMapStorage) ShortNames() []string { return []string{"cm"} }

type configMapStrategy struct{ registry.CommonStrategy }

var binaryDataPath = field.NewPath("binaryData")

func (configMapStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	configMap := obj.(*corev1.ConfigMap)
	errs := registry.ValidateMetadata(&configMap.ObjectMeta, true, validation.NameIsDNSSubdomain)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(configMap.Data)) {
		errs = append(errs, registry.Problems(dataPath.Key(key), key, utilvalidation.IsConfigMapKey)...)
		if _, twice := configMap.BinaryData[key]; twice {
			errs = append(errs, field.Invalid(dataPath.Key(key), key, "duplicate of key present in binaryData"))
		}
		size += len(configMap.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(configMap.BinaryData)) {
		errs = append(errs, registry.Problems(binaryDataPath.Key(key), key, utilvalidation.IsConfigMapKey)...)
		size += len(configMap.BinaryData[key])
	}
	if size > corev1.MaxSecretSize {
		// The path is empty, as upstream's: the error is about the whole object.
		errs = append(errs, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
	return errs
}

func (s configMapStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	configMap, oldConfigMap := obj.(*corev1.ConfigMap), old.(*corev1.ConfigMap)
	errs := registry.ValidateMetadataUpdate(&configMap.ObjectMeta, &oldConfigMap.ObjectMeta)
	if isTrue(oldConfigMap.Immutable) {
		if !isTrue(configMap.Immutable) {
			errs = append(errs, field.Forbidden(field.NewPath("immutable"), frozen))
		}
		if !equality.Semantic.DeepEqual(configMap.Data, oldConfigMap.Data) {
			errs = append(errs, field.Forbidden(dataPath, frozen))
		}
		if !reflect.DeepEqual(configMap.BinaryData, oldConfigMap.BinaryData) {
			errs = append(errs, field.Forbidden(binaryDataPath, frozen))
		}
	}
	return append(errs, s.Validate(ctx, obj)...)
}

var configMapTable = &registry.Table[*corev1.ConfigMap]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("Data", corev1.ConfigMap{}.SwaggerDoc()["data"]),
		registry.AgeColumn,
	},
	Cells: func(configMap *corev1.ConfigMap) []any {
		return []any{configMap.Name, int64(len(configMap.Data) + len(configMap.BinaryData)), registry.Age(configMap.CreationTimestamp)}
	},
}
