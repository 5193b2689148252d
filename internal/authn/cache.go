package authn

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/cache"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
)

// cacheConfig says which verdicts of an authenticator are cached, and where.
type cacheConfig struct {
	// Store holds the verdicts; nil means a store of this cache's own, of the default size.
	Store *cacheStore
	// SuccessTTL and FailureTTL are how long verdicts are cached; 0 means not at all. A failure is an unknown token. Errors
	// are never cached.
	SuccessTTL, FailureTTL time.Duration
	// End returns when a good token ends, and with it its verdict; nil if that isn't known.
	End func(token string) time.Time
}

// verdictCache caches verdicts. Concurrent requests with one token share one lookup, which goes on when the request that
// began it has gone. Warnings and audit annotations are repeated with a cached success, so a cached verdict looks like a
// fresh one.
//
// Verdicts about service account tokens are not cached: the objects that they depend on are in memory anyway.
type verdictCache struct {
	cacheConfig
	tokens authenticator.Token
	flight singleflight.Group
}

func newCache(tokens authenticator.Token, cfg cacheConfig) *verdictCache {
	if cfg.Store == nil {
		cfg.Store = newCacheStore(0)
	}
	return &verdictCache{cacheConfig: cfg, tokens: tokens}
}

// errCrash is the error after a panic of an authenticator, as in kube-apiserver.
var errCrash = reason.With(reason.AuthenticatorFailed, apierrors.NewInternalError(errors.New("authentication failed unexpectedly")))

// verdict is an authenticator's answer, with its warnings and audit annotations.
type verdict struct {
	response    *authenticator.Response
	ok          bool
	err         error
	warnings    []recordedWarning
	annotations map[string]string
}

// AuthenticateToken returns the cached verdict, or asks the authenticator.
func (c *verdictCache) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	audiences, limited := authenticator.AudiencesFrom(ctx)
	key := c.Store.key(token, audiences, limited)
	known, ok := c.Store.get(key)
	if !ok {
		shared := c.flight.DoChan(string(key[:]), func() (any, error) {
			if known, ok := c.Store.get(key); ok {
				return known, nil
			}
			return c.ask(key, token, audiences, limited), nil
		})
		select {
		case result := <-shared:
			known = result.Val.(*verdict)
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
	if known.err != nil || !known.ok {
		return nil, false, known.err
	}
	for name, value := range known.annotations {
		audit.AddAuditAnnotation(ctx, name, value)
	}
	for _, w := range known.warnings {
		warning.AddWarning(ctx, w.agent, w.text)
	}
	// The wrapper for audiences writes into the response.
	response := *known.response
	return &response, true, nil
}

// ask asks the authenticator and caches its verdict.
func (c *verdictCache) ask(key cache.Key, token string, audiences authenticator.Audiences, limited bool) (said *verdict) {
	said = &verdict{}
	defer func() {
		if crash := recover(); crash != nil {
			// The panic's value may be a token, so only its type is logged.
			klog.Background().Error(nil, "An authenticator panicked", "panic", fmt.Sprintf("%T", crash), "stack", string(debug.Stack()))
			*said = verdict{err: errCrash}
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), outbound.Timeout)
	defer cancel()
	if limited {
		ctx = authenticator.WithAudiences(ctx, audiences)
	}
	recorder := &warningRecorder{}
	ctx = audit.WithAuditContext(warning.WithWarningRecorder(ctx, recorder))
	said.response, said.ok, said.err = c.tokens.AuthenticateToken(ctx, token)
	said.warnings = recorder.recorded()
	said.annotations = audit.AuditContextFrom(ctx).GetEventAnnotations()
	switch {
	case said.err != nil:
	case !said.ok:
		c.Store.add(key, said, c.FailureTTL)
	default:
		ttl := c.SuccessTTL
		if c.End != nil {
			ttl = min(ttl, time.Until(c.End(token)))
		}
		c.Store.add(key, said, ttl)
	}
	return said
}

type recordedWarning struct{ agent, text string }

// warningRecorder keeps warnings.
type warningRecorder struct {
	mu   sync.Mutex
	list []recordedWarning
}

// AddWarning keeps a warning.
func (r *warningRecorder) AddWarning(agent, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, recordedWarning{agent, text})
}

func (r *warningRecorder) recorded() []recordedWarning {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}
