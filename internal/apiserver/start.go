package apiserver

import (
	"context"
	"fmt"
	"path"
	"runtime/debug"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/programpages"
)

// seeds stores what every server has: the namespaces of the system, and the default roles and bindings.
type seeds struct {
	views         *views
	index         *boundobject.Index
	authorization authz.Config
	client        kubernetes.Interface
	// account has the account "default" be there from the start, which a controller makes otherwise.
	account bool
	// done is closed when all of it is stored.
	done chan<- struct{}
}

// addTo has the seeds stored before a server is ready, one step after the other.
func (s seeds) addTo(server *genericapiserver.GenericAPIServer, stopping <-chan struct{}) {
	namespaces := make(chan struct{})
	addStartHook(server, stopping, "start-system-namespaces", func(ctx context.Context) error {
		if err := s.views.wait(ctx); err != nil {
			return err
		}
		if err := s.storeNamespaces(ctx); err != nil {
			return err
		}
		close(namespaces)
		return nil
	})
	addStartHook(server, stopping, "rbac/bootstrap-roles", func(ctx context.Context) error {
		select {
		case <-namespaces:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.authorization.Bootstrap(ctx, s.client); err != nil {
			return fmt.Errorf("storing the default roles: %w", err)
		}
		close(s.done)
		return nil
	})
}

func (s seeds) storeNamespaces(ctx context.Context) error {
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		if _, ok := s.index.Namespaces.Get("", name); ok {
			continue
		}
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err := s.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	if !s.account {
		return nil
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err := s.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Create(ctx, account, metav1.CreateOptions{})
	return err
}

// addStartHook has something done before the server is ready. What fails because the server is stopping has not failed:
// the library would end the process for it.
func addStartHook(server *genericapiserver.GenericAPIServer, stopping <-chan struct{}, name string, hook func(context.Context) error) {
	server.AddPostStartHookOrDie(name, func(hookContext genericapiserver.PostStartHookContext) error {
		err := hook(hookContext)
		select {
		case <-stopping:
			return nil
		default:
			return err
		}
	})
}

// freeMemory gives back the memory that only the start needed, above all for schemas.
func freeMemory(context.Context) {
	debug.FreeOSMemory()
	programpages.Release()
}

// runControllers returns the service that runs the controllers, on one replica at a time. The embedded store has one server,
// which needs no election.
func runControllers(cfg controller.Config, stored *store, address string) service {
	controller.RegisterMetrics()
	return func(ctx context.Context) {
		controllers, err := controller.New(cfg)
		switch {
		case err != nil:
			klog.FromContext(ctx).Error(err, "The controllers are not started")
			return
		case cfg.Controllers.Len() == 0:
			return // nor is this replica a candidate
		case !stored.shared:
			controllers.Run(ctx)
			return
		}
		election := controller.Election{
			Client: stored.client, Name: address, Prefix: path.Join("/", stored.options.StorageConfig.Prefix, electionKey),
		}
		election.Run(ctx, controllers.Run)
	}
}

// electionKey is where the replicas that can run the controllers are, below the prefix of all that is stored.
const electionKey = "mintmark.io/election/controllers"
