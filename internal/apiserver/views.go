package apiserver

import (
	"context"
	"net/http"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/testclock"
	"github.com/mintmark/mintmark/internal/trustedissuer"
	"github.com/mintmark/mintmark/internal/view"
)

// storedView is an in-memory view of a resource, whatever it keeps.
type storedView interface {
	view.Follower
	Decorate(generic.StorageDecorator) generic.StorageDecorator
	WaitForSync(context.Context) error
	controller.LinkView
	HasLinks() bool
}

// views are all views of a server, and what keeps them current.
type views struct {
	list []storedView
	set  *view.Set
	// keys has the whole object of each signing key.
	keys *view.View[*mintmarkv1alpha1.SigningKey]
	// requests has what the controllers of certificate signing requests need to know.
	requests *view.View[certificates.Record]
	// configMaps tells where the root CA is published.
	configMaps *view.View[controller.ConfigMap]
}

// newViews returns the views of the indexes. openShift is nil where its API is not served, and maxStaleness how old a view
// may be for an answer to be taken from memory.
func newViews(store view.Store, maxStaleness time.Duration, index *boundobject.Index, roles *authz.Index, revoked *revocation.Set,
	trusted *trustedissuer.Issuers, keys *keys, openShift *openShift,
) *views {
	requests := view.New(certificatesv1.Resource("certificatesigningrequests"), true, certificates.RecordOf)
	v := &views{keys: keys.view(), requests: requests, configMaps: controller.NewConfigMaps(), list: []storedView{
		index.Namespaces, index.ServiceAccounts, index.Secrets, index.Pods, index.Nodes,
		roles.Roles, roles.RoleBindings, roles.ClusterRoles, roles.ClusterRoleBindings,
		revoked.View, trusted.View,
	}}
	v.list = append(v.list, v.keys, v.requests, v.configMaps, newCollectedView(coordinationv1.Resource("leases"), false))
	if openShift != nil {
		x := openShift.index
		v.list = append(v.list, x.AccessTokens, x.Clients, x.Users, x.Groups)
		v.list = append(v.list, newCollectedViews(
			oauthv1.Resource("oauthauthorizetokens"), oauthv1.Resource("oauthclientauthorizations"), userv1.Resource("identities"))...)
	}
	followers := make([]view.Follower, len(v.list))
	for i, one := range v.list {
		followers[i] = one
	}
	v.set = view.NewSet(store, maxStaleness, followers...)
	if keys.managed != nil {
		keys.managed.current = v.set
	}
	return v
}

// newCollectedViews returns views of cluster-scoped resources that only the garbage collector looks at.
func newCollectedViews(resources ...schema.GroupResource) []storedView {
	views := make([]storedView, len(resources))
	for i, resource := range resources {
		views[i] = newCollectedView(resource, true)
	}
	return views
}

// newCollectedView returns the view of a resource that only the garbage collector and the namespace controller look at.
func newCollectedView(resource schema.GroupResource, clusterScoped bool) storedView {
	return view.New(resource, clusterScoped, func(runtime.Object) struct{} { return struct{}{} })
}

// of returns the view of a resource, or nil.
func (v *views) of(resource schema.GroupResource) storedView {
	for _, one := range v.list {
		if one.Resource() == resource {
			return one
		}
	}
	return nil
}

// wait returns when everything stored has been read.
func (v *views) wait(ctx context.Context) error {
	for _, one := range v.list {
		if err := one.WaitForSync(ctx); err != nil {
			return err
		}
	}
	return nil
}

// check says which resource has not been read yet, or is known so little of that requests had better go elsewhere.
func (v *views) check(*http.Request) error { return v.set.Ready() }

// viewedStorage gives storage to resources, with the view of a resource in front where there is one. With a clock,
// objects have its times.
type viewedStorage struct {
	generic.RESTOptionsGetter
	views *views
	clock *testclock.Clock
}

// GetRESTOptions returns the options for the storage of a resource.
func (s viewedStorage) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := s.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	if one := s.views.of(resource); one != nil {
		options.Decorator = one.Decorate(options.Decorator)
	}
	if s.clock != nil {
		options.Decorator = decorateDated(options.Decorator, s.clock)
	}
	return options, nil
}
