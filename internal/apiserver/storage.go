package apiserver

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
)

// view is an in-memory view of a resource, whatever it keeps.
type view interface {
	Resource() schema.GroupResource
	Decorate(generic.StorageDecorator) generic.StorageDecorator
	Run(context.Context)
	Synced() <-chan struct{}
}

func (s *Server) views() []view {
	return []view{s.index.Namespaces, s.index.ServiceAccounts, s.index.Secrets, s.index.Pods, s.index.Nodes}
}

// viewedStorage gives storage to resources, with the view of a resource in front where there is one.
type viewedStorage struct {
	generic.RESTOptionsGetter
	views []view
}

// GetRESTOptions returns the options for the storage of a resource.
func (v viewedStorage) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := v.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	for _, view := range v.views {
		if view.Resource() == resource {
			options.Decorator = view.Decorate(options.Decorator)
		}
	}
	return options, nil
}
