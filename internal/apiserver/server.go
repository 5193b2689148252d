package apiserver

import (
	"context"
	"errors"
	"fmt"
	"sync"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/explanation"
	"github.com/mintmark/mintmark/internal/registry/mintmark"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// Server is a server that has been built and can be run once.
type Server struct {
	about
	held    closers
	generic *genericapiserver.GenericAPIServer
	// storeFailed delivers the error that ends the embedded etcd; nil with an external one.
	storeFailed <-chan error
	// drained is closed when the last request is answered.
	drained <-chan struct{}
	// ready is closed when the server knows all that is stored and has stored what must be there.
	ready chan struct{}
	// cut closes all connections when the server stops; nil lets them end.
	cut func()
	// always runs from the start until the last request is answered, and whenReady from when the server is ready.
	always, whenReady []service
}

// service is work in the background that ends with its context.
type service func(context.Context)

// New builds a server, from the ground up. What it has taken by then it gives back if it fails.
func New(ctx context.Context, cfg Config) (_ *Server, err error) {
	crash.Contain()
	ground, err := openGround(ctx, cfg)
	if err != nil {
		return nil, err
	}
	held := closers{ground.close}
	defer func() {
		if err != nil {
			held.close()
		}
	}()
	stored, endpoint, keys := ground.store, ground.endpoint, ground.keys

	// The live indexes. Components of the server write as clients of the handler that is built from them: self is that
	// handler, and is bound to it last, before the first request.
	self := &lateHandler{}
	client, oauthClient, metadataClient, err := newInternalClients(self)
	if err != nil {
		return nil, err
	}
	revocations, err := newRevocationStore(self)
	if err != nil {
		return nil, err
	}
	index, roles := boundobject.NewIndex(), authz.NewIndex()
	revoked := revocation.NewSet()
	revoked.Issuers = keys.issuers
	calls := newObjectCalls(cfg)
	live := newLiveCheck(cfg, calls, index)
	trusted := newTrustedIssuers(cfg, keys, calls, live)
	held.add(trusted.Close)
	openShift := newOpenShift(cfg, keys, index, revoked, oauthClient)
	views := newViews(stored.client, cfg.MaxStaleness, index, roles, revoked, trusted, keys, openShift)
	renewTrustedIssuers(trusted, stored, views.set)
	views.set.LimitReads(cfg.Server.MaxMutatingRequestsInFlight)
	generic, err := newGenericConfig(cfg, endpoint, stored.options, views)
	if err != nil {
		return nil, err
	}
	audited := generic.AuditBackend != nil
	if openShift != nil {
		// The views include those that the reviewer decides by.
		openShift.reviewer.Views, openShift.reviewer.Audited = views.set, audited
	}
	generic.AddReadyzChecks(stored.checks...)

	// The decisions: who calls, what the caller may do, which token is issued, and whose a token is.
	union, err := newAuthenticators(cfg, endpoint.files.CAFile, keys, index, revoked, trusted, openShift, client, generic)
	if err != nil {
		return nil, err
	}
	held.add(union.Close)
	trusted.Configured, trusted.ServerID = union.Configured, generic.APIServerID
	authorization := authorizationConfig(cfg, keys, index, roles)
	authorizer, err := authz.New(authorization)
	if err != nil {
		return nil, err
	}
	generic.Authorization.Authorizer, generic.RuleResolver = authorizer, authorizer
	generic.AdmissionControl = newAdmission(cfg.NodeRestriction, cfg.now(), index, authorizer)
	issuer := newIssuer(cfg, keys, index)
	reviewer := tokenreview.New(tokenreview.Config{Authenticator: union.Tokens, APIAudiences: keys.audiences, Audited: audited, Views: views.set})

	// The API, and the two ways to it, which are open when the server is ready.
	ready := make(chan struct{})
	ends := tokenEnds{
		managed: cfg.Tokens.SigningKeyFile == "" && cfg.Tokens.SigningEndpoint == "",
		keys:    views.keys, secrets: index.Secrets, tokens: cfg.Tokens, own: keys, union: union,
		furtherCA: cfg.Authentication.ClientCAFile != "", certificateLife: cfg.ClusterSigning.Duration, now: cfg.now(),
	}
	order, err := newTurns(cfg)
	if err != nil {
		return nil, err
	}
	inFlight := newInFlight(generic, order)
	lists := &reviewLists{reviewer, inFlight.mutating, inFlight.turns.charge}
	own := mintmark.Config{SigningKeys: signingKeys(ground, cfg.Tokens, cfg.now()), Revocations: mintmark.Revocations{
		Reviewer: reviewer, Authorizer: authorizer, Issuers: keys.issuers, Ends: ends, HasKey: keys.has, Now: cfg.now(),
	}, Explainer: &explanation.Explainer{Reviewer: reviewer, Now: cfg.now()}, TrustedIssuers: trustedIssuers(trusted, keys, union, authorizer)}
	own.Reviewer = lists
	own.Feed = newFeed(views, index, revoked, trusted, keys, openShift, union.Configuration, cfg.now())
	groups, err := newGroups(generic.RESTOptionsGetter, cfg.EventTTL, issuer, reviewer, authorizer, roles, own, openShift)
	if err != nil {
		return nil, err
	}
	if keys.managed != nil {
		if err := keys.managed.prepare(ctx, index); err != nil {
			return nil, err
		}
	}
	resources, err := collectedResources(groups, views)
	if err != nil {
		return nil, err
	}
	transports, err := newTransports(cfg, groups, issuer, reviewer, lists, inFlight, openShift, authorizer, revoked, ready, views.set, generic)
	if err != nil {
		return nil, err
	}
	transports.keyFiles = keys.files
	generic.BuildHandlerChainFunc = transports.chain
	server, err := generic.Complete(nil).New("mintmark", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	if err := install(server, groups, reviewer, newDocuments(cfg.Tokens.JWKSURI, endpoint.address, keys)); err != nil {
		return nil, err
	}
	if cfg.Ephemeral {
		if err := installTesting(server, cfg.Clock, issuer, keys, self); err != nil {
			return nil, err
		}
	}
	installOpenAPI(server, generic)
	self.Handler = server.Handler.FullHandlerChain
	signer, err := newSignerSocket(ctx, cfg, keys, generic)
	if err != nil {
		return nil, err
	}

	// The work besides requests.
	seeds := seeds{views: views, index: index, authorization: authorization, client: client, account: cfg.Ephemeral, done: ready}
	seeds.addTo(server, generic.ShutdownInitiatedNotify())
	always := []service{views.set.Run, keys.ring.Run, ground.identity.Run, ground.renewCertificates, union.Run, trusted.Run, transports.watchEnd.run}
	keyController, err := newKeyController(ground, cfg.Tokens, self)
	if err != nil {
		return nil, err
	}
	issuerStatus, err := newIssuerStatus(trusted, live, self)
	if err != nil {
		return nil, err
	}
	requests, err := certificateRequests(cfg.ClusterSigning, ground, views, authorizer)
	if err != nil {
		return nil, err
	}
	whenReady := []service{ground.resealSecrets, runControllers(controller.Config{
		Controllers: cfg.Controllers, Client: client, Metadata: metadataClient, Resources: resources,
		Index: index, Roles: roles, Signer: keys.legacySigner(), SigningKeys: keyController, Revocations: revocations, Certificates: requests, TrustedIssuers: issuerStatus,
		ConfigMaps: views.configMaps, RootCA: endpoint.files.PublishedRootCA, RootCAs: endpoint.rootCAs,
		Now: cfg.now(), Clock: cfg.timers(),
	}, stored, endpoint.address)}
	whenReady = append(whenReady, openShift.services(server)...)
	if signer != nil {
		held.add(signer.Close)
		whenReady = append(whenReady, signer.Run)
		// The audit log is written until all requests are answered, and so must the signatures be.
		server.AddPreShutdownHookOrDie("external-jwt-signer", func() error { signer.Stop(); return nil })
	}
	if !cfg.Ephemeral {
		whenReady = append(whenReady, freeMemory)
	}
	if cfg.TuneGarbage {
		whenReady = append(whenReady, tuneGarbage)
	}
	return &Server{
		about: newAbout(ground, cfg.Tokens), held: held, generic: server, storeFailed: stored.failed,
		drained: generic.DrainedNotify(), ready: ready, cut: endpoint.cut, always: always, whenReady: whenReady,
	}, nil
}

// Run serves until the context ends, and then until the requests in flight are answered.
func (s *Server) Run(ctx context.Context) error {
	defer s.held.close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case err := <-s.storeFailed:
			stop(fmt.Errorf("the embedded etcd stopped: %w", err))
		case <-ctx.Done():
		}
	}()
	if s.cut != nil {
		defer context.AfterFunc(ctx, s.cut)()
	}
	// What the server lives from goes on while the last requests are answered.
	background, finish := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, run := range s.always {
		running.Go(func() { crash.Keep(background, run) })
	}
	for _, run := range s.whenReady {
		running.Go(func() {
			select {
			case <-s.ready:
				crash.Keep(background, run)
			case <-background.Done():
			}
		})
	}
	running.Go(func() {
		select {
		case <-s.drained:
			finish()
		case <-background.Done():
		}
	})
	err := crash.Guard(func() error { return s.generic.PrepareRun().RunWithContext(ctx) })
	finish()
	running.Wait()
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// Ready is closed when the server answers and knows all that is stored.
func (s *Server) Ready() <-chan struct{} { return s.ready }
