package registry

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Subresource is a part of an object that is read and changed under a path of its own, such as its status.
type Subresource struct{ UntabledSubresource }

var _ interface {
	rest.Patcher
	rest.TableConvertor
	rest.ResetFieldsStrategy
} = (*Subresource)(nil)

// NewSubresource returns a part of the objects in store. The strategy s decides which fields an update changes.
func NewSubresource(store *genericregistry.Store, s Strategy) *Subresource {
	return &Subresource{*NewUntabledSubresource(store, s)}
}

// ConvertToTable makes the table of the object.
func (s *Subresource) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, obj, options)
}

// UntabledSubresource is a part of an object that is never shown in a table.
type UntabledSubresource struct {
	store *genericregistry.Store
}

var _ interface {
	rest.Patcher
	rest.ResetFieldsStrategy
} = (*UntabledSubresource)(nil)

// NewUntabledSubresource returns a part of the objects in store. The strategy s decides which fields an update changes.
func NewUntabledSubresource(store *genericregistry.Store, s Strategy) *UntabledSubresource {
	part := *store
	part.UpdateStrategy = brief{s}
	part.ResetFieldsStrategy = s
	return &UntabledSubresource{&part}
}

// New returns an empty object, for a request to be decoded into.
func (s *UntabledSubresource) New() runtime.Object { return s.store.New() }

// Destroy does nothing: the object's own storage is closed by its own resource.
func (s *UntabledSubresource) Destroy() {}

// Get returns the whole object.
func (s *UntabledSubresource) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}

// Update never creates the object, not even when it is applied.
func (s *UntabledSubresource) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, info, create, update, false, options)
}

// GetResetFields names the fields that the strategy of the part resets.
func (s *UntabledSubresource) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.store.GetResetFields()
}
