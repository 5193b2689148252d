package apiserver

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/mintmark/mintmark/internal/scheme"
)

// view is an in-memory view of a resource, whatever it keeps.
type view interface {
	Resource() schema.GroupResource
	Decorate(generic.StorageDecorator) generic.StorageDecorator
	Run(context.Context)
	Synced() <-chan struct{}
	WaitForSync(context.Context) error
}

func (s *Server) views() []view {
	views := []view{
		s.index.Namespaces, s.index.ServiceAccounts, s.index.Secrets, s.index.Pods, s.index.Nodes,
		s.roles.Roles, s.roles.RoleBindings, s.roles.ClusterRoles, s.roles.ClusterRoleBindings,
	}
	if s.cfg.OpenShift {
		views = append(views, s.oauth.AccessTokens, s.oauth.Clients, s.oauth.Users, s.oauth.Groups)
	}
	return views
}

// newStorageFactory says where and in which encoding each resource is stored.
func (s *Server) newStorageFactory() serverstorage.StorageFactory {
	return untypedStorage{serverstorage.NewDefaultStorageFactory(
		s.cfg.Storage.StorageConfig, s.cfg.Storage.DefaultStorageMediaType, scheme.Codecs,
		serverstorage.NewDefaultResourceEncodingConfig(scheme.Scheme), serverstorage.NewResourceConfig(), nil)}
}

// untypedStorage is storage whose objects come back without their kind.
type untypedStorage struct{ serverstorage.StorageFactory }

// NewConfig returns how a resource is stored.
func (u untypedStorage) NewConfig(resource schema.GroupResource, example runtime.Object) (*storagebackend.ConfigForResource, error) {
	config, err := u.StorageFactory.NewConfig(resource, example)
	if err != nil {
		return nil, err
	}
	config.Codec = scheme.Untyped(config.Codec)
	return config, nil
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
