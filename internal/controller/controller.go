// Package controller provides the controllers of kube-controller-manager that concern the objects served here: default
// service accounts, token secrets, the published root CA, the deletion of namespaces, pods and dependents, aggregated cluster
// roles, the approval, signing and removal of certificate signing requests, and the cleaners of old tokens.
//
// Each controller is a queue of keys and one worker. Events and timers only put keys into the queue; the worker reads
// the object as it is stored and does what is missing, through the API. All writes insist on the version or the UID that
// the decision was made about. So a key may come any number of times, and a write that comes late does no harm.
//
// Of the replicas that share a store one runs the controllers at a time: an Election says which one.
package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/view"
)

// Signer signs the claims of the tokens that live in secrets. It must be safe for concurrent use.
type Signer interface {
	Sign(ctx context.Context, claims []byte) (string, error)
}

// Config configures the controllers.
type Config struct {
	// Controllers are the names of the controllers that run, as returned by Select. None run by default.
	Controllers sets.Set[string]
	// Client writes, through the API. It should not be rate limited.
	Client kubernetes.Interface
	// Metadata writes, too, for the garbage-collector-controller, which does not run without it.
	Metadata metadata.Interface
	// Resources are those whose objects the garbage-collector-controller collects, and of which the namespace-controller
	// learns that a namespace may be empty. Their views are in step likewise.
	Resources []Resource
	// Index has the views that the controllers read and that tell them of changes. They are in step with the storage
	// before Run is called.
	Index *boundobject.Index
	// Roles is the index of roles and bindings, in step likewise. Without it, the clusterrole-aggregation-controller
	// does not run.
	Roles *authz.Index
	// Signer signs the tokens in secrets. Without one, the serviceaccount-token-controller does not run.
	Signer Signer
	// SigningKeys is what the signingkey-controller works on. Without it the controller does not run: the keys are not the
	// server's.
	SigningKeys *SigningKeys
	// Revocations has the TokenRevocations. Without it the tokenrevocation-cleaner does not run.
	Revocations RevocationStore
	// TrustedIssuers is what the trustedissuer-status-controller works on. Without it the controller does not run.
	TrustedIssuers *TrustedIssuers
	// Certificates is what the controllers of certificate signing requests work on. Without it they do not run.
	Certificates *CertificateRequests
	// ConfigMaps is the view of config maps, in step likewise. Without it the root-ca-certificate-publisher-controller does not
	// run.
	ConfigMaps *view.View[ConfigMap]
	// RootCA is the PEM that is written into token secrets and config maps as ca.crt. An empty one is not written.
	RootCA []byte
	// RootCAs delivers what takes the place of RootCA while the controllers run. Nil means that it stays as it is.
	RootCAs <-chan []byte
	// LegacyTokenCleanUpPeriod is how long a listed token secret must be unused before it is marked invalid, and again
	// before it is deleted. 365 days by default.
	LegacyTokenCleanUpPeriod time.Duration
	// Now is the clock, time.Now by default.
	Now func() time.Time
	// Clock has the timers that go with Now; nil means the machine's.
	Clock clock.WithTicker

	// root is RootCA, or what took its place.
	root *rootCA
}

// constructors makes the controllers, by their names in kube-controller-manager. A constructor begins to listen to
// changes, and returns the function that runs the controller until the context ends. That function may be called again.
var constructors = map[string]func(Config) func(context.Context){
	"serviceaccount-controller":                      newServiceAccountController,
	"serviceaccount-token-controller":                newTokenController,
	"namespace-controller":                           newNamespaceController,
	"pod-garbage-collector-controller":               newPodController,
	GarbageCollector:                                 newGarbageCollector,
	"clusterrole-aggregation-controller":             newAggregationController,
	"token-cleaner-controller":                       newBootstrapTokenController,
	"legacy-serviceaccount-token-cleaner-controller": newLegacyTokenController,
	"signingkey-controller":                          newSigningKeyController,
	"root-ca-certificate-publisher-controller":       newRootCAPublisher,
	"tokenrevocation-cleaner":                        newRevocationController,
	"trustedissuer-status-controller":                newTrustedIssuerController,
	"certificatesigningrequest-approving-controller": newApprovingController,
	"certificatesigningrequest-signing-controller":   newSigningController,
	"certificatesigningrequest-cleaner-controller":   newRequestCleaner,
}

// aliases are the short names that kube-controller-manager takes as well.
var aliases = map[string]string{
	"csrapproving": "certificatesigningrequest-approving-controller",
	"csrsigning":   "certificatesigningrequest-signing-controller",
	"csrcleaner":   "certificatesigningrequest-cleaner-controller",
}

// Names returns the names of all controllers, sorted.
func Names() []string { return slices.Sorted(maps.Keys(constructors)) }

// Select reads a list of controllers in the syntax of kube-controller-manager's --controllers: "*" stands for all, "foo"
// for the controller of that name, "-foo" leaves it out, in any order. An empty list selects none.
func Select(list []string) (sets.Set[string], error) {
	selected, excluded, named := sets.New[string](), sets.New[string](), sets.New[string]()
	for _, item := range list {
		name, exclude := strings.CutPrefix(item, "-")
		if long, short := aliases[name]; short {
			name = long
		}
		_, known := constructors[name]
		switch {
		case item == "*":
			selected.Insert(Names()...)
		case !known:
			return nil, fmt.Errorf("%q is not a controller; the controllers are %s", name, strings.Join(Names(), ", "))
		case exclude:
			excluded.Insert(name)
		default:
			named.Insert(name)
		}
	}
	if both := named.Intersection(excluded); both.Len() > 0 {
		return nil, fmt.Errorf("the list of controllers both names and excludes %s", strings.Join(sets.List(both), ", "))
	}
	return selected.Union(named).Difference(excluded), nil
}

// Controllers are the selected controllers of a server.
type Controllers struct {
	root  *rootCA
	names []string
	run   map[string]func(context.Context)
}

// New returns the selected controllers. From then on the views tell them of changes, so there should be one per index.
func New(cfg Config) (*Controllers, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.LegacyTokenCleanUpPeriod == 0 {
		cfg.LegacyTokenCleanUpPeriod = 365 * 24 * time.Hour
	}
	if cfg.LegacyTokenCleanUpPeriod < 0 {
		return nil, errors.New("the clean-up period of legacy tokens is negative")
	}
	if unknown := cfg.Controllers.Difference(sets.KeySet(constructors)); unknown.Len() > 0 {
		return nil, fmt.Errorf("%q is not a controller", sets.List(unknown)[0])
	}
	cfg.root = newRootCA(cfg.RootCA, cfg.RootCAs)
	c := &Controllers{root: cfg.root, names: sets.List(cfg.Controllers), run: map[string]func(context.Context){}}
	for _, name := range c.names {
		c.run[name] = constructors[name](cfg)
	}
	return c, nil
}

// Run runs the controllers until the context ends, and returns when all of them have stopped. Each of them begins with a
// look at everything, so Run may be called again after it has returned.
func (c *Controllers) Run(ctx context.Context) {
	registered().Leading.Set(1)
	defer registered().Leading.Set(0)
	ctx = WithoutBodies(ctx)
	var running sync.WaitGroup
	running.Go(func() { crash.Keep(ctx, c.root.follow) })
	for _, name := range c.names {
		logger := klog.LoggerWithName(klog.FromContext(ctx), name)
		run := c.run[name]
		if run == nil {
			logger.Info("Controller not started: what it works on was not configured")
			continue
		}
		running.Go(func() { crash.Keep(klog.NewContext(ctx, logger), run) })
	}
	running.Wait()
	<-ctx.Done()
}
