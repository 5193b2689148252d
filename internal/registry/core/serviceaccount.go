package core

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

// serviceAccountStorage serves serviceaccounts.
type serviceAccountStorage struct {
	*genericregistry.Store
}

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.ShortNamesProvider
	rest.SingularNameProvider
} = (*serviceAccountStorage)(nil)

func addServiceAccounts(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Plural:         "serviceaccounts",
		Singular:       "serviceaccount",
		NewObject:      func() runtime.Object { return &corev1.ServiceAccount{} },
		NewList:        func() runtime.Object { return &corev1.ServiceAccountList{} },
		Strategy:       serviceAccountStrategy{registry.NamespacedStrategy},
		Table:          serviceAccountTable,
		Attrs:          registry.Selectable[*corev1.ServiceAccount](nil),
		ReturnsDeleted: true,
	})
	if err != nil {
		return err
	}
	served["serviceaccounts"] = &serviceAccountStorage{store}
	return nil
}

func (*serviceAccountStorage) ShortNames() []string { return []string{"sa"} }

type serviceAccountStrategy struct{ registry.CommonStrategy }

func (serviceAccountStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	keepSecretNames(obj.(*corev1.ServiceAccount))
}

func (serviceAccountStrategy) PrepareForUpdate(_ context.Context, obj, _ runtime.Object) {
	keepSecretNames(obj.(*corev1.ServiceAccount))
}

// keepSecretNames reduces references to secrets to the names. The secrets are in the account's namespace.
func keepSecretNames(sa *corev1.ServiceAccount) {
	for i, secret := range sa.Secrets {
		sa.Secrets[i] = corev1.ObjectReference{Name: secret.Name}
	}
}

func (serviceAccountStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return registry.ValidateMetadata(&obj.(*corev1.ServiceAccount).ObjectMeta, true, validation.ValidateServiceAccountName)
}

func (s serviceAccountStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&obj.(*corev1.ServiceAccount).ObjectMeta, &old.(*corev1.ServiceAccount).ObjectMeta)
	return append(errs, s.Validate(ctx, obj)...)
}

// enforceMountableSecrets is an annotation that limits which secrets the account's pods may mention.
const enforceMountableSecrets = "kubernetes.io/enforce-mountable-secrets"

func (serviceAccountStrategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return warnOfMountableSecrets(obj.(*corev1.ServiceAccount), nil)
}

func (serviceAccountStrategy) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	return warnOfMountableSecrets(obj.(*corev1.ServiceAccount), old.(*corev1.ServiceAccount).Annotations)
}

func warnOfMountableSecrets(sa *corev1.ServiceAccount, old map[string]string) []string {
	_, has := sa.Annotations[enforceMountableSecrets]
	if _, had := old[enforceMountableSecrets]; !has || had {
		return nil
	}
	return []string{fmt.Sprintf("%s: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets",
		registry.MetadataPath.Child("annotations").Key(enforceMountableSecrets))}
}

var serviceAccountTable = &registry.Table[*corev1.ServiceAccount]{
	Columns: []metav1.TableColumnDefinition{registry.NameColumn, registry.AgeColumn},
	Cells: func(sa *corev1.ServiceAccount) []any {
		return []any{sa.Name, registry.Age(sa.CreationTimestamp)}
	},
}
