// Package trustedissuer accepts the tokens of the issuers that TrustedIssuer objects of mintmark.io name: of other clusters, and
// of any issuer that publishes its keys.
//
// A token is routed by its claim iss with one lookup, however many issuers there are. Keys are read when they are first needed
// and on a schedule, one read at a time for each issuer, paced and bounded. The library's authenticator decides about claims,
// mappings and rules; for the service account tokens of a cluster the user is made as that cluster makes it. A verdict is
// remembered until the token ends, the object changes or the key is withdrawn.
//
// A token is good for those of its audiences that the object lists. An issuer speaks for none of this server's own names:
// isolate has the rule. Names of a cluster that come without a prefix look like those of accounts here, so such a token is never
// good for an audience of this server: no caller of this server's API is one of them.
package trustedissuer

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/cache"
	"github.com/mintmark/mintmark/internal/view"
)

// Config has what Issuers need besides the objects.
type Config struct {
	// APIAudiences are those of this server: the audiences of a question that names none.
	APIAudiences authenticator.Audiences
	// OwnIssuers are the issuers of this server's own tokens. An object with one of these is not used.
	OwnIssuers []string
	// Configured reports whether the configuration file has an issuer, which then has precedence; nil if there is no file.
	Configured func(issuer string) bool
	// Client makes the client that reads the documents of an issuer. It must bound the length and the time of answers.
	Client func(*v1alpha1.TrustedIssuer) (Client, error)
	// LiveCheck is asked about tokens of issuers that want it. Without it these tokens are refused.
	LiveCheck LiveCheck
	// ServerID tells this process from others in metrics.
	ServerID string
	// CacheBytes bounds the memory for verdicts; 0 means four times cache.DefaultBytes.
	CacheBytes int
	// Waiting is how many reviews may wait for keys at a time; 0 means 64.
	Waiting int
	// Now is the clock of tokens; nil means time.Now.
	Now func() time.Time
}

// Client reads documents. A *http.Client is one.
type Client interface {
	Do(request *http.Request) (*http.Response, error)
	CloseIdleConnections()
}

// Issuers authenticates the tokens of the issuers that the objects name. It is safe for concurrent use.
type Issuers struct {
	Config
	// View is the view of trustedissuers.
	View *view.View[*v1alpha1.TrustedIssuer]

	byURL    sync.Map // of *issuer by the claim iss
	verdicts verdicts
	renewals renewals
	reads    reads
	own      *series

	mu      sync.Mutex
	objects map[string]*v1alpha1.TrustedIssuer // by name
	named   map[string][]string                // the names of the objects with a URL
	begun   bool                               // the schedule
}

// New returns issuers whose view is empty.
func New(cfg Config) *Issuers {
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = 4 * cache.DefaultBytes
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	i := &Issuers{
		Config: cfg, verdicts: newVerdicts(cfg.CacheBytes), own: registered(),
		objects: map[string]*v1alpha1.TrustedIssuer{}, named: map[string][]string{},
	}
	i.reads.init(cfg.Waiting)
	i.View = view.New(v1alpha1.Resource("trustedissuers"), true, recordOf)
	i.View.OnChange(i.change)
	return i
}

// recordOf is the record of an object: a copy of all of it, which must not be changed. The object itself may be the answer to a write,
// into which its encoder puts a kind.
func recordOf(obj runtime.Object) *v1alpha1.TrustedIssuer {
	of, ok := obj.(*v1alpha1.TrustedIssuer)
	if !ok {
		return nil
	}
	return of.DeepCopy()
}

// RenewWith has renew asked before a token of an unknown issuer is refused. It returns when the view has everything that was
// acknowledged before the call, on any replica. Without it no other process writes. It is to be called before the first token comes.
func (i *Issuers) RenewWith(renew func(context.Context) error) { i.renewals.renew = renew }

// Run reads keys on schedule until the context ends.
func (i *Issuers) Run(ctx context.Context) {
	if i.View.WaitForSync(ctx) != nil {
		return
	}
	i.startSchedule()
	<-ctx.Done()
	i.Close()
}

// startSchedule has the keys of all issuers read within the time between two reads, and those of new ones soon.
func (i *Issuers) startSchedule() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.begun = true
	i.byURL.Range(func(_, known any) bool {
		known.(*issuer).keys.schedule(rand.N(refreshEvery)) //nolint:gosec // G404: when keys are read is no secret
		return true
	})
}

// Close ends all reading of keys.
func (i *Issuers) Close() { i.reads.end() }

// issuer is one version of an object, as tokens are checked with it. A verdict of it counts until gone is set.
type issuer struct {
	object *v1alpha1.TrustedIssuer
	keys   *keys
	rules  rules
	gone   atomic.Bool
}
