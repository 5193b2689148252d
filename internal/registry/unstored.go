package registry

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// unstored is what resources have in common that are answered and never stored.
type unstored struct {
	empty      runtime.Object
	singular   string
	namespaced bool
}

var _ interface {
	rest.Storage
	rest.Scoper
	rest.SingularNameProvider
} = unstored{}

// New returns an empty object, for a request to be decoded into.
func (u unstored) New() runtime.Object { return u.empty.DeepCopyObject() }

// Destroy has nothing to release.
func (unstored) Destroy() {}

// NamespaceScoped says whether requests are in a namespace.
func (u unstored) NamespaceScoped() bool { return u.namespaced }

// GetSingularName is the name of one object.
func (u unstored) GetSingularName() string { return u.singular }
