package registry

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"
)

// Group is one version of an API group: its resources by the names under which they are served.
type Group struct {
	Version   schema.GroupVersion
	Resources map[string]rest.Storage
}

// Definition describes the storage of a kind.
type Definition struct {
	// Group is empty for the core API.
	Group            string
	Plural, Singular string
	NewObject        func() runtime.Object
	NewList          func() runtime.Object
	Strategy         Strategy
	Table            rest.TableConvertor
	Attrs            storage.AttrFunc
	// ReturnsDeleted has DELETE answer with the object that was deleted instead of a Status.
	ReturnsDeleted bool
	// Index, if any, is a field that clients often select by and that few objects share a value of.
	Index     string
	IndexFunc storage.IndexerFunc
}

// NewStore returns the storage of a kind.
func NewStore(getter generic.RESTOptionsGetter, r Definition) (*genericregistry.Store, error) {
	store := &genericregistry.Store{
		NewFunc:                   r.NewObject,
		NewListFunc:               r.NewList,
		DefaultQualifiedResource:  schema.GroupResource{Group: r.Group, Resource: r.Plural},
		SingularQualifiedResource: schema.GroupResource{Group: r.Group, Resource: r.Singular},
		CreateStrategy:            brief{r.Strategy},
		UpdateStrategy:            brief{r.Strategy},
		DeleteStrategy:            r.Strategy,
		ResetFieldsStrategy:       r.Strategy,
		TableConvertor:            r.Table,
		ReturnDeletedObject:       r.ReturnsDeleted,
	}
	options := &generic.StoreOptions{RESTOptions: withUpstreamKeys{getter}, AttrFunc: r.Attrs}
	if r.Index != "" {
		store.PredicateFunc = func(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
			return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: r.Attrs, IndexFields: []string{r.Index}}
		}
		options.TriggerFunc = storage.IndexerFuncs{r.Index: r.IndexFunc}
		options.Indexers = &cache.Indexers{
			storage.FieldIndex(r.Index): func(obj any) ([]string, error) {
				return []string{r.IndexFunc(obj.(runtime.Object))}, nil
			},
		}
	}
	if err := store.CompleteWithOptions(options); err != nil {
		return nil, fmt.Errorf("storage of %s: %w", r.Plural, err)
	}
	// The row of an empty object shows whether the table has a cell for each column.
	if _, err := r.Table.ConvertToTable(context.Background(), r.NewObject(), nil); err != nil {
		return nil, fmt.Errorf("table of %s: %w", r.Plural, err)
	}
	return store, nil
}

// Selectable returns the labels and fields by which objects are selected. The fields are name and namespace, and those that
// extra adds for the kind.
func Selectable[T metav1.Object](extra func(T, fields.Set)) storage.AttrFunc {
	return func(obj runtime.Object) (labels.Set, fields.Set, error) {
		o, ok := obj.(T)
		if !ok {
			return nil, nil, fmt.Errorf("%T cannot be selected here", obj)
		}
		set := fields.Set{"metadata.name": o.GetName()}
		if namespace := o.GetNamespace(); namespace != "" {
			set["metadata.namespace"] = namespace
		}
		if extra != nil {
			extra(o, set)
		}
		return o.GetLabels(), set, nil
	}
}
