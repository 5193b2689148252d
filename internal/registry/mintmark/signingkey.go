package mintmark

import (
	"context"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
)

// signingKeys is the storage of signingkeys, which clients read.
type signingKeys struct {
	rest.Storage
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.Scoper
	rest.SingularNameProvider
	rest.StorageVersionProvider
}

func newSigningKeys(getter generic.RESTOptionsGetter) (*signingKeys, error) {
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
	return &signingKeys{store, store, store, store, store, store, store}, nil
}

type signingKeyStrategy struct{ registry.CommonStrategy }

// Validate checks the metadata.
func (signingKeyStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return registry.ValidateMetadata(&obj.(*mintmarkv1alpha1.SigningKey).ObjectMeta, false, validation.NameIsDNSSubdomain)
}

// ValidateUpdate checks the metadata.
func (s signingKeyStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return append(s.Validate(ctx, obj),
		registry.ValidateMetadataUpdate(&obj.(*mintmarkv1alpha1.SigningKey).ObjectMeta, &old.(*mintmarkv1alpha1.SigningKey).ObjectMeta)...)
}
