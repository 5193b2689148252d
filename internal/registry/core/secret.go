package core

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

func addSecrets(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Plural:    "secrets",
		Singular:  "secret",
		NewObject: func() runtime.Object { return &corev1.Secret{} },
		NewList:   func() runtime.Object { return &corev1.SecretList{} },
		Strategy:  secretStrategy{registry.NamespacedStrategy},
		Table:     secretTable,
		Attrs:     registry.Selectable(func(secret *corev1.Secret, set fields.Set) { set["type"] = string(secret.Type) }),
	})
	if err != nil {
		return err
	}
	served["secrets"] = store
	return nil
}

type secretStrategy struct{ registry.CommonStrategy }

func (secretStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	if secret := obj.(*corev1.Secret); secret.Type == "" {
		secret.Type = old.(*corev1.Secret).Type
	}
}

func (secretStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	secret := obj.(*corev1.Secret)
	errs := registry.ValidateMetadata(&secret.ObjectMeta, true, validation.NameIsDNSSubdomain)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		errs = append(errs, registry.Problems(dataPath.Key(key), key, utilvalidation.IsConfigMapKey)...)
		size += len(secret.Data[key])
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(dataPath, "", corev1.MaxSecretSize))
	}
	return append(errs, validateSecretType(secret)...)
}

func (s secretStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	secret, oldSecret := obj.(*corev1.Secret), old.(*corev1.Secret)
	errs := registry.ValidateMetadataUpdate(&secret.ObjectMeta, &oldSecret.ObjectMeta)
	errs = append(errs, validation.ValidateImmutableField(secret.Type, oldSecret.Type, field.NewPath("type"))...)
	if isTrue(oldSecret.Immutable) {
		if !isTrue(secret.Immutable) {
			errs = append(errs, field.Forbidden(field.NewPath("immutable"), frozen))
		}
		if !reflect.DeepEqual(secret.Data, oldSecret.Data) {
			errs = append(errs, field.Forbidden(dataPath, frozen))
		}
	}
	return append(errs, s.Validate(ctx, obj)...)
}

var dataPath = field.NewPath("data")

// frozen is the error of a change to a secret or config map that is immutable.
const frozen = "field is immutable when `immutable` is set"

// validateSecretType checks that a secret of a well-known type has the keys of that type.
func validateSecretType(secret *corev1.Secret) field.ErrorList {
	required := func(key string) *field.Error { return field.Required(dataPath.Key(key), "") }
	has := func(key string) bool { _, ok := secret.Data[key]; return ok }
	var errs field.ErrorList
	switch secret.Type {
	case corev1.SecretTypeServiceAccountToken:
		if secret.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(registry.MetadataPath.Child("annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeDockercfg:
		errs = validateJSONObject(secret, corev1.DockerConfigKey)
	case corev1.SecretTypeDockerConfigJson:
		errs = validateJSONObject(secret, corev1.DockerConfigJsonKey)
	case corev1.SecretTypeBasicAuth:
		if !has(corev1.BasicAuthUsernameKey) && !has(corev1.BasicAuthPasswordKey) {
			errs = append(errs, required(corev1.BasicAuthUsernameKey), required(corev1.BasicAuthPasswordKey))
		}
	case corev1.SecretTypeSSHAuth:
		if len(secret.Data[corev1.SSHAuthPrivateKey]) == 0 {
			errs = append(errs, required(corev1.SSHAuthPrivateKey))
		}
	case corev1.SecretTypeTLS:
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if !has(key) {
				errs = append(errs, required(key))
			}
		}
	}
	return errs
}

func validateJSONObject(secret *corev1.Secret, key string) field.ErrorList {
	content, ok := secret.Data[key]
	if !ok {
		return field.ErrorList{field.Required(dataPath.Key(key), "")}
	}
	if err := json.Unmarshal(content, &map[string]any{}); err != nil {
		return field.ErrorList{field.Invalid(dataPath.Key(key), "<secret contents redacted>", err.Error())}
	}
	return nil
}

func (secretStrategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return warnOfUnusableKeyPair(obj.(*corev1.Secret))
}

func (secretStrategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return warnOfUnusableKeyPair(obj.(*corev1.Secret))
}

func warnOfUnusableKeyPair(secret *corev1.Secret) []string {
	if secret.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }

var secretDocs = corev1.Secret{}.SwaggerDoc()

var secretTable = &registry.Table[*corev1.Secret]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("Type", secretDocs["type"]),
		registry.Column("Data", secretDocs["data"]),
		registry.AgeColumn,
	},
	Cells: func(secret *corev1.Secret) []any {
		return []any{secret.Name, string(secret.Type), int64(len(secret.Data)), registry.Age(secret.CreationTimestamp)}
	},
}
