package apiserver

import (
	"context"
	"errors"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
)

// view is an in-memory view of a resource, whatever it keeps.
type view interface {
	Resource() schema.GroupResource
	Decorate(generic.StorageDecorator) generic.StorageDecorator
	Run(context.Context)
	Synced() <-chan struct{}
	WaitForSync(context.Context) error
}

// views are all views of a server.
type views struct{ list []view }

// newViews returns the views of the indexes. openShift is nil where its API is not served.
func newViews(index *boundobject.Index, roles *authz.Index, openShift *openShift) *views {
	v := &views{list: []view{
		index.Namespaces, index.ServiceAccounts, index.Secrets, index.Pods, index.Nodes,
		roles.Roles, roles.RoleBindings, roles.ClusterRoles, roles.ClusterRoleBindings,
	}}
	if openShift != nil {
		x := openShift.index
		v.list = append(v.list, x.AccessTokens, x.Clients, x.Users, x.Groups)
	}
	return v
}

// services returns what keeps the views current.
func (v *views) services() []service {
	var all []service
	for _, view := range v.list {
		all = append(all, view.Run)
	}
	return all
}

// wait returns when everything stored has been read.
func (v *views) wait(ctx context.Context) error {
	for _, view := range v.list {
		if err := view.WaitForSync(ctx); err != nil {
			return err
		}
	}
	return nil
}

// check says which resource has not been read yet.
func (v *views) check(*http.Request) error {
	for _, view := range v.list {
		select {
		case <-view.Synced():
		default:
			return errors.New(view.Resource().String() + " not read yet")
		}
	}
	return nil
}

// viewedStorage gives storage to resources, with the view of a resource in front where there is one.
type viewedStorage struct {
	generic.RESTOptionsGetter
	views *views
}

// GetRESTOptions returns the options for the storage of a resource.
func (s viewedStorage) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := s.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	for _, view := range s.views.list {
		if view.Resource() == resource {
			options.Decorator = view.Decorate(options.Decorator)
		}
	}
	return options, nil
}
