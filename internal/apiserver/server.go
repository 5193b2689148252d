package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/admission"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	mintmarkadmission "github.com/mintmark/mintmark/internal/admission"
	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/registry/authentication"
	"github.com/mintmark/mintmark/internal/tokenrequest"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// Server is a server that has been built and can be run once.
type Server struct {
	cfg        Config
	dir        *datadir.Dir
	member     *etcd.Member // nil with an external etcd
	address    string       // host and port under which others reach the server
	wanted     datadir.Wanted
	files      *datadir.Files
	keys       *keys
	index      *boundobject.Index
	roles      *authz.Index
	oauth      *oauth.Index
	idle       *oauth.Idle
	authorizer *authz.Authorizer
	issuer     *tokenrequest.Issuer
	reviewer   *tokenreview.Reviewer
	// openShiftReviewer is nil without OpenShift's API.
	openShiftReviewer *tokenreview.Reviewer
	inFlight          *inFlight
	generic           *genericapiserver.GenericAPIServer
	client            kubernetes.Interface
	tokens            rest.Interface // access tokens of oauth.openshift.io
	ready             chan struct{}
	drained           <-chan struct{} // closed when the last request is answered
	// identities are nil until they are known.
	identities *authn.Union
}

// New builds a server, from the ground up. What it has taken by then it gives back if it fails.
func New(ctx context.Context, cfg Config) (_ *Server, err error) {
	s := &Server{cfg: cfg, index: boundobject.NewIndex(), roles: authz.NewIndex(), oauth: oauth.NewIndex(), ready: make(chan struct{})}
	s.idle = oauth.NewIdle(oauth.IdleConfig{Index: s.oauth, Window: cfg.IdleWindow, Store: tokenStore{s}})
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if s.dir, err = datadir.Open(cfg.DataDir); err != nil {
		return nil, err
	}
	if err = s.startStore(ctx); err != nil {
		return nil, err
	}
	if err = s.listen(); err != nil {
		return nil, err
	}
	if s.keys, err = s.loadKeys(); err != nil {
		return nil, err
	}
	if err = s.assemble(); err != nil {
		return nil, err
	}
	return s, nil
}

// startStore runs the embedded etcd, unless there is another.
func (s *Server) startStore(ctx context.Context) error {
	if len(s.cfg.Storage.StorageConfig.Transport.ServerList) > 0 {
		return nil
	}
	member, err := etcd.Start(ctx, etcd.Config{Dir: s.dir.Path(datadir.Store)})
	if err != nil {
		return err
	}
	s.member = member
	s.cfg.Storage.StorageConfig.Transport.ServerList = []string{member.Endpoint()}
	return nil
}

// listen takes the port, so that it is known, and makes the certificate for it.
func (s *Server) listen() error {
	serving := s.cfg.Serving
	listener, port, err := genericoptions.CreateListener(serving.BindNetwork, net.JoinHostPort(serving.BindAddress.String(), strconv.Itoa(serving.BindPort)), net.ListenConfig{})
	if err != nil {
		return fmt.Errorf("the server can't listen; is another on that port? Name another with --secure-port: %w", err)
	}
	serving.Listener, serving.BindPort = listener, port
	host := externalHost(s.cfg)
	s.address = host
	if _, _, err := net.SplitHostPort(host); err != nil {
		s.address = net.JoinHostPort(host, strconv.Itoa(port))
	}
	certificate := &serving.ServerCert.CertKey
	s.wanted = datadir.Wanted{
		Hosts:              hosts(s.cfg),
		Server:             "https://" + net.JoinHostPort(reachable(serving.BindAddress), strconv.Itoa(port)),
		ServingCertificate: certificate.CertFile,
		ServingKey:         certificate.KeyFile,
	}
	if s.files, err = s.dir.Ensure(s.wanted, time.Now()); err != nil {
		return fmt.Errorf("the certificates in the data directory: %w", err)
	}
	certificate.CertFile, certificate.KeyFile = s.files.ServingCertificate, s.files.ServingKey
	return nil
}

// assemble puts the rooms together.
func (s *Server) assemble() error {
	generic, err := s.genericConfig()
	if err != nil {
		return err
	}
	if s.identities, err = s.authenticate(generic); err != nil {
		return err
	}
	s.drained = generic.DrainedNotify()
	nodes := authz.NewNodeRelations()
	if slices.ContainsFunc(s.cfg.Authorizers, func(a apiserverapi.AuthorizerConfiguration) bool { return a.Type == authz.ModeNode }) {
		// They take as much memory as all else that is kept of pods.
		s.index.Pods.OnChange(nodes.Changed)
	}
	s.authorizer, err = authz.New(authz.Config{
		Authorizers:  s.cfg.Authorizers,
		Index:        s.roles,
		Nodes:        nodes,
		PublicIssuer: s.cfg.Authentication.PublicIssuer,
		OpenShift:    s.cfg.OpenShift,
	})
	if err != nil {
		return err
	}
	generic.Authorization.Authorizer, generic.RuleResolver = s.authorizer, s.authorizer
	generic.AdmissionControl = s.admission()
	s.issuer = tokenrequest.New(tokenrequest.Config{
		Issuer:        s.keys.issuers[0],
		APIAudiences:  s.keys.audiences,
		MaxExpiration: s.cfg.Tokens.MaxExpiration,
		Extend:        s.cfg.Tokens.ExtendExpiration,
		Index:         s.index,
		Signer:        s.keys.signer,
	})
	s.reviewer = tokenreview.New(tokenreview.Config{Authenticator: s.identities.Tokens, APIAudiences: s.keys.audiences})
	if s.cfg.OpenShift {
		s.openShiftReviewer = s.newOpenShiftReviewer()
	}
	if s.generic, err = generic.Complete(nil).New("mintmark", genericapiserver.NewEmptyDelegate()); err != nil {
		return err
	}
	// The index of paths is for /: elsewhere a path that isn't there is just that.
	s.generic.Handler.NonGoRestfulMux.NotFoundHandler(http.NotFoundHandler())
	if err := s.installAPIs(generic.RESTOptionsGetter); err != nil {
		return err
	}
	// It is not part of the API, so the index of paths doesn't name it.
	s.generic.Handler.NonGoRestfulMux.UnlistedHandle(authentication.WebhookPath, authentication.NewWebhook(s.reviewer))
	s.installDocuments()
	s.client, s.tokens, err = newInternalClients(s.generic.Handler.FullHandlerChain)
	return err
}

// admission returns the checks of what is about to be carried out.
func (s *Server) admission() admission.Interface {
	plugins := []admission.Interface{mintmarkadmission.NamespaceLifecycle{Namespaces: s.index.Namespaces}}
	if s.cfg.NodeRestriction {
		plugins = append(plugins, mintmarkadmission.NodeRestriction{Pods: s.index.Pods, Authorizer: s.authorizer})
	}
	return admission.NewChainHandler(plugins...)
}

// Run serves until the context ends, and then until the requests in flight are answered.
func (s *Server) Run(ctx context.Context) error {
	defer s.release()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if s.member != nil {
		go func() {
			select {
			case err := <-s.member.Failed():
				stop(fmt.Errorf("the embedded etcd stopped: %w", err))
			case <-ctx.Done():
			}
		}()
	}
	// What the server lives from goes on while the last requests are answered.
	background, finish := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, view := range s.views() {
		running.Go(func() { view.Run(background) })
	}
	running.Go(func() { s.dir.RenewCertificates(background, s.wanted) })
	running.Go(func() { s.identities.Run(background) })
	if s.cfg.TuneGarbage {
		running.Go(func() { s.tuneGarbage(background) })
	}
	s.keepIdleDeadlines(background, &running)
	s.prepare(background, &running)
	running.Go(func() {
		select {
		case <-s.drained:
			finish()
		case <-background.Done():
		}
	})
	err := s.generic.PrepareRun().RunWithContext(ctx)
	finish()
	running.Wait()
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// release gives back what the server holds.
func (s *Server) release() {
	if s.cfg.Serving.Listener != nil {
		_ = s.cfg.Serving.Listener.Close()
	}
	if s.identities != nil {
		s.identities.Close()
	}
	if s.member != nil {
		s.member.Close()
	}
	if s.dir != nil {
		_ = s.dir.Close()
	}
}

// controllers returns what the controllers work with.
func (s *Server) controllers() controller.Config {
	return controller.Config{
		Controllers: s.cfg.Controllers,
		Client:      s.client,
		Index:       s.index,
		Roles:       s.roles,
		Signer:      s.keys.signer,
		RootCA:      s.files.RootCA,
	}
}

// Ready is closed when the server answers and knows all that is stored.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// URL is where this machine reaches the server.
func (s *Server) URL() string { return s.wanted.Server }

// Issuer is the issuer of new tokens.
func (s *Server) Issuer() string { return s.keys.issuers[0] }

// RootCA is the PEM by which clients know the server.
func (s *Server) RootCA() []byte { return s.files.RootCA }

// Kubeconfig is the file with which an administrator reaches the server.
func (s *Server) Kubeconfig() string { return s.dir.Path(datadir.AdminKubeconfig) }

// Made are the files that this start has made.
func (s *Server) Made() []string {
	made := s.files.Made
	if s.keys.made != "" {
		made = append(slices.Clip(made), s.keys.made)
	}
	return made
}
