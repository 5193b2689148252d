package mintmark

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
)

// PrivateKeys holds the private halves of keys by name, encrypted, in the store of the objects.
type PrivateKeys interface {
	// Create stores a private key durably. It returns an error that wraps identity.ErrExists if there is one of that name.
	Create(ctx context.Context, name string, plain []byte) error
	// Delete removes a private key. One that is gone already is no error.
	Delete(ctx context.Context, name string) error
}

// SigningKeys says how keys are made, and by what the rest of the server is bound.
type SigningKeys struct {
	PrivateKeys PrivateKeys
	// Elsewhere says, in a sentence, where the keys come from if not from the objects. No object is made then.
	Elsewhere string
	// Lead is how long a key is published before it signs, unless its object says otherwise.
	Lead time.Duration
	// Cached is how long relying parties were told to keep the key set. No lead is shorter, unless its object accepts that.
	Cached time.Duration
	// LongestLife bounds the life of the tokens that an imported key may have signed.
	LongestLife time.Duration
	// Algorithms are those that the server signs with. The last key of one of them is neither retired nor removed.
	Algorithms []string
	// Now is the clock.
	Now func() time.Time
}

// signingKeys is the storage of signingkeys. There is no deletion of a collection: each key is looked at by itself.
type signingKeys struct {
	rest.Storage
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.Scoper
	rest.SingularNameProvider
	rest.StorageVersionProvider
	rest.ResetFieldsStrategy
	SigningKeys
	store *genericregistry.Store
}

var _ interface {
	rest.Storage
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.Creater
	rest.Updater
	rest.GracefulDeleter
	rest.ResetFieldsStrategy
} = (*signingKeys)(nil)

func newSigningKeys(getter generic.RESTOptionsGetter, cfg SigningKeys) (*signingKeys, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     mintmarkv1alpha1.GroupName,
		Plural:    "signingkeys",
		Singular:  "signingkey",
		NewObject: func() runtime.Object { return &mintmarkv1alpha1.SigningKey{} },
		NewList:   func() runtime.Object { return &mintmarkv1alpha1.SigningKeyList{} },
		Strategy:  signingKeyStrategy{registry.ClusterStrategy},
		Table:     signingKeyTable,
		Attrs:     registry.Selectable[*mintmarkv1alpha1.SigningKey](nil),
	})
	if err != nil {
		return nil, err
	}
	return &signingKeys{store, store, store, store, store, store, store, store, cfg, store}, nil
}

// stored returns all keys as they are in the store.
func (s *signingKeys) stored(ctx context.Context) ([]*mintmarkv1alpha1.SigningKey, error) {
	obj, err := s.store.List(ctx, nil)
	if err != nil {
		return nil, err
	}
	list := obj.(*mintmarkv1alpha1.SigningKeyList)
	keys := make([]*mintmarkv1alpha1.SigningKey, len(list.Items))
	for i := range list.Items {
		keys[i] = &list.Items[i]
	}
	return keys, nil
}

// signingKeyStrategy checks the metadata. What is checked against other keys is in Create, Update and Delete.
type signingKeyStrategy struct{ registry.CommonStrategy }

// Validate checks the metadata. A finalizer would let a key live on that was removed when that was safe.
func (signingKeyStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	key := obj.(*mintmarkv1alpha1.SigningKey)
	errs := registry.ValidateMetadata(&key.ObjectMeta, false, validateName)
	if len(key.Finalizers) > 0 {
		errs = append(errs, field.Forbidden(registry.MetadataPath.Child("finalizers"), "a signing key that is removed must be gone at once"))
	}
	return errs
}

// ValidateUpdate checks the metadata.
func (s signingKeyStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return append(s.Validate(ctx, obj),
		registry.ValidateMetadataUpdate(&obj.(*mintmarkv1alpha1.SigningKey).ObjectMeta, &old.(*mintmarkv1alpha1.SigningKey).ObjectMeta)...)
}

// PrepareForUpdate keeps the status, which servers write.
func (signingKeyStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	old.(*mintmarkv1alpha1.SigningKey).Status.DeepCopyInto(&obj.(*mintmarkv1alpha1.SigningKey).Status)
}

// GetResetFields names the fields that are never a client's.
func (signingKeyStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(mintmarkv1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("status"), fieldpath.MakePathOrDie("spec", "privateKey")),
	}
}

var specPath = field.NewPath("spec")

// invalid is the error about fields of a key.
func invalid(name string, errs ...*field.Error) error {
	return apierrors.NewInvalid(mintmarkv1alpha1.SchemeGroupVersion.WithKind("SigningKey").GroupKind(), name, errs)
}

// conflict is the error about a key that does not fit what there is.
func conflict(name string, err error) error {
	return apierrors.NewConflict(mintmarkv1alpha1.Resource("signingkeys"), name, err)
}

// shown is an instant in an error.
func shown(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (s *signingKeys) now() metav1.Time { return metav1.NewTime(s.Now().UTC().Truncate(time.Second)) }
