package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/rest"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/registry/authentication"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/scheme/openapi"
)

// gitVersion is the Kubernetes version whose API is served, marked as ours.
const gitVersion = "v1.37.2+mintmark"

// genericConfig is the configuration of the library's server.
func (s *Server) genericConfig() (*genericapiserver.Config, error) {
	c := genericapiserver.NewConfig(scheme.Codecs)
	if err := s.cfg.Server.ApplyTo(c); err != nil {
		return nil, err
	}
	c.Serializer = scheme.Serializer
	c.EffectiveVersion = effectiveVersion{c.EffectiveVersion}
	if err := s.cfg.Serving.ApplyTo(&c.SecureServing); err != nil {
		return nil, err
	}
	c.ExternalAddress = s.address
	s.cfg.Storage.StorageConfig.StorageObjectCountTracker = c.StorageObjectCountTracker
	if err := s.cfg.Storage.ApplyWithStorageFactoryTo(s.newStorageFactory(), c); err != nil {
		return nil, err
	}
	c.RESTOptionsGetter = viewedStorage{RESTOptionsGetter: c.RESTOptionsGetter, views: s.views()}
	if err := s.cfg.Audit.ApplyTo(c); err != nil {
		return nil, err
	}
	if c.AuditPolicyRuleEvaluator != nil {
		c.AuditPolicyRuleEvaluator = withoutTokens{c.AuditPolicyRuleEvaluator}
	}
	c.RequestInfoResolver = authentication.WebhookRequests{RequestInfoResolver: genericapiserver.NewRequestInfoResolver(c)}
	if err := s.cfg.Tracing.ApplyTo(nil, c); err != nil {
		return nil, err
	}
	namer := openapinamer.NewDefinitionNamer(scheme.Scheme)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIConfig.Info.Title = "Mintmark"
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIV3Config.Info.Title = "Mintmark"
	// The library insists on a client of its own. Nothing uses it: the server's components have one that does not go
	// through the network, so there is no token that would open every door.
	c.LoopbackClientConfig = &rest.Config{}
	c.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")
	s.inFlight = newInFlight(c)
	if err := c.AddPostStartHook(inFlightHook, s.inFlight.measure); err != nil {
		return nil, err
	}
	c.BuildHandlerChainFunc = s.buildHandlerChain
	c.AddReadyzChecks(healthz.NamedCheck("live-index", s.indexReady))
	return c, nil
}

// indexReady says whether everything stored has been read.
func (s *Server) indexReady(*http.Request) error {
	for _, view := range s.views() {
		select {
		case <-view.Synced():
		default:
			return errors.New(view.Resource().String() + " not read yet")
		}
	}
	return nil
}

func (s *Server) waitForIndex(ctx context.Context) error {
	for _, view := range s.views() {
		if err := view.WaitForSync(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare has the server become ready when its index is complete, and the system's namespaces and the default roles are
// there. The controllers start then.
func (s *Server) prepare(background context.Context, running *sync.WaitGroup) {
	namespaces := make(chan struct{})
	s.addStartHook(background, "start-system-namespaces", func() error {
		if err := s.waitForIndex(background); err != nil {
			return err
		}
		for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
			if _, ok := s.index.Namespaces.Get("", name); ok {
				continue
			}
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
			_, err := s.client.CoreV1().Namespaces().Create(background, namespace, metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
		}
		close(namespaces)
		return nil
	})
	s.addStartHook(background, "rbac/bootstrap-roles", func() error {
		select {
		case <-namespaces:
		case <-background.Done():
			return background.Err()
		}
		if err := s.roles.Bootstrap(background, s.client, authz.Defaults{OpenShift: s.cfg.OpenShift}); err != nil {
			return fmt.Errorf("storing the default roles: %w", err)
		}
		close(s.ready)
		return nil
	})
	running.Go(func() {
		select {
		case <-s.ready:
		case <-background.Done():
			return
		}
		// What it took to get here, schemas above all, is not needed again.
		debug.FreeOSMemory()
		if err := controller.Run(background, s.controllers()); err != nil {
			klog.FromContext(background).Error(err, "The controllers stopped")
		}
	})
}

// addStartHook has something done before the server is ready. What fails because the server is stopping has not failed:
// the library would end the process for it.
func (s *Server) addStartHook(background context.Context, name string, hook func() error) {
	s.generic.AddPostStartHookOrDie(name, func(genericapiserver.PostStartHookContext) error {
		if err := hook(); err != nil && background.Err() == nil {
			return err
		}
		return nil
	})
}

// effectiveVersion tells clients which Kubernetes they talk to, instead of how the library was built.
type effectiveVersion struct {
	basecompatibility.EffectiveVersion
}

// Info is what /version answers.
func (v effectiveVersion) Info() *apimachineryversion.Info {
	info := v.EffectiveVersion.Info()
	info.GitVersion = gitVersion
	info.GitCommit, info.GitTreeState, info.BuildDate = "", "", ""
	return info
}
