package registry

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Unstored is embedded by resources whose objects are answered and never stored.
type Unstored struct {
	// Empty is an object of the kind that requests are decoded into.
	Empty      runtime.Object
	Singular   string
	Namespaced bool
}

var _ interface {
	rest.Storage
	rest.Scoper
	rest.SingularNameProvider
} = Unstored{}

// New returns an empty object, for a request to be decoded into.
func (u Unstored) New() runtime.Object { return u.Empty.DeepCopyObject() }

// Destroy has nothing to release.
func (Unstored) Destroy() {}

// NamespaceScoped reports whether requests are made in a namespace.
func (u Unstored) NamespaceScoped() bool { return u.Namespaced }

// GetSingularName returns the singular of the resource's name.
func (u Unstored) GetSingularName() string { return u.Singular }
