// Package livecheck provides the live check of TrustedIssuers (spec.liveCheck of mintmark.io/v1alpha1): a cluster is asked, by its own
// TokenReview, whether a token that was verified here still counts there.
//
// The credential for the cluster is in a secret, as a kubeconfig that holds all that it needs. Answers are cached for as long as
// maxStaleness allows, and concurrent questions about one token are one call. A cluster that is slow or away costs reviews of its own
// tokens alone: calls to one cluster are few, what waits for them is bounded, and after failures there is no answer at once, without a
// call, for a pace.
package livecheck

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/audittrail"
	"github.com/mintmark/mintmark/internal/cache"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

const (
	// DefaultMaxStaleness is how old an answer may be if the object doesn't say.
	DefaultMaxStaleness = 10 * time.Second
	// maxRefusalAge is how old a refusal may be at most. An account that was made a moment ago may be unknown to one server of a
	// cluster, and junk is never asked about.
	maxRefusalAge = time.Second
)

// Secrets is the view of the secrets that hold kubeconfigs.
type Secrets interface {
	// Object returns a secret as it is stored.
	Object(ctx context.Context, namespace, name string) (runtime.Object, error)
	// OnChange adds a handler of changes.
	OnChange(view.Handler)
}

// Config holds the parts that a Checker needs.
type Config struct {
	Secrets Secrets
	// Calls makes the clients of the calls to clusters.
	Calls *outbound.ObjectCalls
	// CacheBytes bounds the memory for answers of all clusters; 0 means cache.DefaultBytes.
	CacheBytes int
}

// Checker asks clusters about tokens. It is safe for concurrent use.
type Checker struct {
	Config
	answers *cache.Cache[*answer]
	secret  hashKey
	metrics *ownMetrics
	targets targets

	newClient func(outbound.ObjectClient) (caller, error)
}

// New returns a checker.
func New(cfg Config) *Checker {
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = cache.DefaultBytes
	}
	c := &Checker{Config: cfg, answers: cache.New[*answer](cfg.CacheBytes), secret: newHashKey(), metrics: metrics()}
	c.targets.all = map[view.Key]*target{}
	c.newClient = func(of outbound.ObjectClient) (caller, error) { return cfg.Calls.NewClient(of) }
	cfg.Secrets.OnChange(func(key view.Key, _ runtime.Object) { c.targets.drop(key) })
	return c
}

// Confirm asks the cluster of an issuer about a token of which the issuer's keys, claims and audiences were verified, or takes an
// answer that is no older than the issuer allows. The cluster must name the same user and uid, and one of the audiences at least; the
// response that is returned has those that it names. An error is a refusal, or says that there is no verdict. notes may be nil.
func (c *Checker) Confirm(ctx context.Context, issuer *v1alpha1.TrustedIssuer, token string, audiences authenticator.Audiences,
	verified *authenticator.Response, notes *reason.Checks,
) (*authenticator.Response, error) {
	said, err := c.answer(ctx, issuer, token, audiences)
	if err != nil {
		unanswered, ok := err.(*Unanswered) //nolint:errorlint // it is not wrapped
		if ok && issuer.Spec.LiveCheck.OnFailure == v1alpha1.LiveCheckAccept {
			c.metrics.count(resultAccepted)
			audittrail.NoteLiveCheckSkipped(ctx, issuer.Name)
			note(notes, nil, "no answer, and accepted nevertheless (onFailure: Accept): "+unanswered.detail())
			return verified, nil
		}
		c.metrics.count(resultUnanswered)
		if ok {
			note(notes, err, "no answer: "+unanswered.detail())
		}
		return nil, err
	}
	response, err := agree(issuer, audiences, verified, said)
	c.metrics.count(resultOf(err))
	if notes != nil {
		note(notes, err, said.tell(err, time.Now()))
	}
	return response, err
}

// note notes the check, if checks are noted.
func note(notes *reason.Checks, err error, found string) {
	if notes != nil {
		notes.Note("liveCheck", err, "the token's cluster confirms user, uid and audience", found)
	}
}

// tell says for an explanation what a cluster answered, and when.
func (a *answer) tell(err error, now time.Time) string {
	what := "confirmed"
	if err != nil {
		what = err.Error()
	}
	return what + ", asked " + a.age(now).Round(time.Millisecond).String() + " ago"
}

// agree compares what a cluster says with what was verified here.
func agree(issuer *v1alpha1.TrustedIssuer, asked authenticator.Audiences, verified *authenticator.Response, said *answer) (*authenticator.Response, error) {
	if !said.authenticated {
		if said.why == "" {
			return nil, reason.New(reason.LiveCheckRefused, "the token's cluster refuses it")
		}
		return nil, reason.Errorf(reason.LiveCheckRefused, "the token's cluster refuses it: %s", said.why)
	}
	prefix := ""
	if kubernetes := issuer.Spec.Kubernetes; kubernetes != nil {
		prefix = kubernetes.Prefix
	}
	audiences := said.audiences.Intersect(asked) // in the order of those asked for
	switch {
	case prefix+said.username != verified.User.GetName():
		return nil, reason.New(reason.LiveCheckDisagrees, "the token's cluster says that it is another user's")
	case verified.User.GetUID() != "" && said.uid != verified.User.GetUID():
		return nil, reason.New(reason.LiveCheckDisagrees, "the token's cluster says that its user has another uid")
	// A server that does not know audiences leaves them out. The token may then be good for another audience alone.
	case len(asked) > 0 && len(audiences) == 0:
		return nil, reason.New(reason.LiveCheckDisagrees, "the token's cluster does not say that it is good for one of the audiences")
	case len(audiences) == len(asked):
		return verified, nil
	}
	return &authenticator.Response{Audiences: audiences, User: verified.User}, nil
}

// answer returns a cluster's answer, cached or new.
func (c *Checker) answer(ctx context.Context, issuer *v1alpha1.TrustedIssuer, token string, audiences authenticator.Audiences) (*answer, error) {
	bound := DefaultMaxStaleness
	if given := issuer.Spec.LiveCheck.MaxStaleness; given != nil {
		bound = given.Duration
	}
	to := c.targets.get(secretOf(issuer))
	key := c.secret.of(to.id, token, audiences)
	if said, ok := c.answers.Get(key); ok && said.counts(time.Now(), bound) {
		return said, nil
	}
	said, err := c.share(ctx, to, &question{key: key, token: token, audiences: audiences}, bound)
	if err == nil || ctx.Err() != nil {
		return said, err
	}
	return nil, unanswered(issuer.Name, err)
}

// counts reports whether an answer is young enough.
func (a *answer) counts(now time.Time, bound time.Duration) bool {
	if !a.authenticated {
		bound = min(bound, maxRefusalAge)
	}
	return a.age(now) < bound
}

// secretOf returns the key of the secret with the kubeconfig for an issuer's cluster.
func secretOf(issuer *v1alpha1.TrustedIssuer) view.Key {
	secret := issuer.Spec.LiveCheck.KubeconfigSecret
	return view.Key{Namespace: secret.Namespace, Name: secret.Name}
}

// stateAge is for how long the end of a call says something about a cluster.
const stateAge = 2 * time.Minute

// State is what this process knows of the cluster of an issuer.
type State struct {
	// Asked is whether the cluster was asked about anything lately, and since its secret changed.
	Asked bool
	// Failure is why the last call had no answer; nil if it had one.
	Failure error
	// NotSetUp says that the failure is one of the secret, not of the cluster.
	NotSetUp bool
	// Since is when calls began to end this way.
	Since time.Time
}

// State returns what is known of the cluster of an issuer that has a live check.
func (c *Checker) State(issuer *v1alpha1.TrustedIssuer) State {
	c.targets.mu.RLock()
	to := c.targets.all[secretOf(issuer)]
	c.targets.mu.RUnlock()
	if to == nil {
		return State{}
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	_, notSetUp := errors.AsType[*setupError](to.health.last)
	lately := !to.health.at.IsZero() && time.Since(to.health.at) < stateAge
	return State{Asked: lately, Failure: to.health.last, NotSetUp: notSetUp, Since: to.health.since}
}

// probeToken is a text that is no token anywhere, so the answer of a cluster that works is a refusal.
const probeToken = "mintmark-live-check"

// Probe asks the cluster of an issuer about a text that is no token, unless calls are held back, and returns what is known then.
func (c *Checker) Probe(ctx context.Context, issuer *v1alpha1.TrustedIssuer) State {
	to := c.targets.get(secretOf(issuer))
	_, _ = c.share(ctx, to, &question{key: c.secret.of(to.id, probeToken, nil), token: probeToken}, 0)
	return c.State(issuer)
}
