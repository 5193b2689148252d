package serviceaccount

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/cache"
	"github.com/mintmark/mintmark/internal/reason"
)

// LegacyIssuer is the issuer of the tokens that live in secrets.
const LegacyIssuer = "kubernetes/serviceaccount"

// KeySet checks signatures. It must be safe for concurrent use.
type KeySet interface {
	// Holds reports whether there is a key with that id, as far as is known; any key if there is no id. When it returns, all
	// keys are withdrawn that were given up before the call, as far as is known.
	Holds(keyID string) bool
	// Find is asked about an id that Holds does not know, before a token is refused. It looks where keys may have come
	// from since. An error says that it can't be told whether there is such a key.
	Find(ctx context.Context, keyID string) error
	// Verify returns the key with that id, or any key if there is no id, that made the signature with that algorithm. Its
	// errors are shown to clients. No key signs with the empty algorithm.
	Verify(algorithm, keyID, signed, signature string) (Key, error)
}

// Key is a key that has made a signature. Tokens that were checked with it count as checked until it is withdrawn.
type Key = interface{ Withdrawn() bool }

// Config says which tokens are accepted.
type Config struct {
	// Issuers are the issuers of accepted tokens.
	Issuers []string
	// APIAudiences are the audiences of this server: those of a token that names none, and those that a caller's token
	// must be for.
	APIAudiences authenticator.Audiences
	Keys         KeySet
	// Index holds the objects that tokens depend on; nil means that they are not looked at.
	Index *boundobject.Index
	// LegacyLookup has tokens in secrets compared with the secret (--service-account-lookup).
	LegacyLookup bool
	// MarkUsed notes on a secret the day on which its token was last used.
	MarkUsed func(ctx context.Context, namespace, name, uid, day string) error
	// CacheBytes bounds the memory for verified signatures; 0 means cache.DefaultBytes.
	CacheBytes int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Authenticator tells to which service account a token belongs. Verified signatures are cached. The account and the bound
// object are looked up at every call.
type Authenticator struct {
	Config
	headers  headers
	verified tokenCache
	checking singleflight.Group
	metrics  *cacheMetrics
}

var _ authenticator.Token = (*Authenticator)(nil)

// New returns an authenticator.
func New(cfg Config) *Authenticator {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = cache.DefaultBytes
	}
	registerMetrics()
	return &Authenticator{Config: cfg, verified: newCache(cfg.CacheBytes), metrics: newCacheMetrics()}
}

// facts are the parts of a verified token that can't change: they are cached.
type facts struct {
	// account is set for a token of a configured issuer. It is shared and must not be changed.
	account *account
	// legacy is set for a token of the legacy issuer.
	legacy *legacyClaims
	// key made the signature.
	key Key
}

// AuthenticateToken returns the service account of a token. A token of another issuer gets no error: another authenticator
// may know it. Every error is a refusal, but for that of a lookup that failed.
func (a *Authenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	response, err := a.Explain(ctx, token, nil)
	if _, others := reason.IsInvalid(err); others {
		return nil, false, nil
	}
	return response, err == nil, err
}

// Explain does the same, and notes the checks; notes may be nil. The error for a token of another issuer is a
// reason.Invalid with its code.
//
// With notes, a refusal for one claim is no reason not to look at the others; a bad signature is, since then the claims are
// anybody's. Nothing is counted and no use is noted then: an explanation is no use of a token.
func (a *Authenticator) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	known, foreign, err := a.verify(ctx, token, notes)
	switch {
	case err != nil:
		return nil, refusal{err}
	case foreign != reason.None:
		return nil, reason.Invalid(foreign)
	}
	var refusals []error
	if known.legacy != nil {
		response, err := a.checkLegacy(ctx, token, known.legacy, notes)
		if err == nil {
			return response, nil
		}
		refusals = append(refusals, err)
	}
	if known.account != nil {
		response, err := a.check(ctx, known.account, notes)
		if err == nil {
			return response, nil
		}
		refusals = append(refusals, err)
	}
	return nil, refusal{utilerrors.NewAggregate(refusals)}
}

// refusal is why a token of one of the issuers is refused. The issuers' tokens are decided here alone: no other
// authenticator is asked about one that is refused.
type refusal struct{ error }

// Final returns the reason.
func (r refusal) Final() error { return r.error }

// Unwrap returns the reason.
func (r refusal) Unwrap() error { return r.error }

// verify checks the signature, or remembers that it was checked. foreign says why a token is none of a service account's.
func (a *Authenticator) verify(ctx context.Context, token string, notes *reason.Checks) (known facts, foreign reason.Code, err error) {
	var c compact
	if !c.split(token) {
		noteOpaque(notes)
		return facts{}, reason.UnknownToken, nil
	}
	var key cache.Key
	start := time.Now()
	c.header, c.headerRead = a.headers.read(c.parts.header)
	// A token whose key id is unknown can't be in the cache. Keys that are gone are marked when Holds returns. An explanation
	// tells what the token says, so it reads it.
	if holds := a.Keys.Holds(c.keyID); notes == nil && (holds || !c.headerRead) {
		key = cache.KeyOf(nil, token)
		if known, ok := a.verified.of(key); ok {
			a.metrics.hit.note(start)
			return known, reason.None, nil
		}
	}
	foreign = c.parse(a.accepts)
	a.noteShape(&c, foreign, notes)
	if foreign != reason.None {
		return facts{}, foreign, nil
	}
	if !a.Keys.Holds(c.keyID) {
		// A key that is no longer there, or that another process has made a moment ago.
		if err := a.Keys.Find(ctx, c.keyID); err != nil {
			noteUnread(notes)
			return facts{}, reason.None, err
		}
		if !a.Keys.Holds(c.keyID) {
			_, err := a.checkSignature(&c, notes)
			return facts{}, reason.None, err
		}
		key = cache.KeyOf(nil, token)
	}
	if notes != nil {
		known, err = a.checkSignature(&c, notes)
		return known, reason.None, err
	}
	defer a.metrics.miss.note(start)
	if known, err = a.checkOnce(key, &c); err != nil {
		return facts{}, reason.None, err
	}
	a.headers.add(c.parts.header, c.header, known.key)
	return known, reason.None, nil
}

// checkOnce checks the signature of a token and remembers it if it is good. Many may come at once with a token that was
// just issued: it is checked for all of them together.
func (a *Authenticator) checkOnce(key cache.Key, parsed *compact) (facts, error) {
	c := *parsed // a copy for the flight; tokens that never get here need none
	a.metrics.blocked.Inc()
	defer a.metrics.blocked.Dec()
	checked, err, _ := a.checking.Do(string(key[:]), func() (any, error) {
		a.metrics.inFlight.Inc()
		defer a.metrics.inFlight.Dec()
		known, err := a.checkSignature(&c, nil)
		if err != nil {
			a.metrics.failed.Inc()
			return known, err
		}
		a.metrics.fetched.Inc()
		a.verified.add(key, known)
		return known, nil
	})
	return checked.(facts), err
}

// checkSignature checks the signature of a token and reads its claims.
func (a *Authenticator) checkSignature(c *compact, notes *reason.Checks) (facts, error) {
	algorithm := c.algorithm
	if c.unsignable {
		algorithm = "" // so that the key set says what it says of every bad signature
	}
	key, err := a.Keys.Verify(algorithm, c.keyID, c.signed(), c.signature)
	if err != nil && reason.Of(err) == reason.None {
		err = reason.With(reason.BadSignature, err)
	}
	// That there is no such key comes first.
	if c.refused != nil && (err == nil || a.Keys.Holds(c.keyID)) {
		err = c.refused
	}
	a.noteSignature(c, err, notes)
	if err != nil {
		return facts{}, err
	}
	known, err := a.read(c)
	noteClaims(&known, err, notes)
	known.key = key
	return known, err
}

func (a *Authenticator) accepts(issuer string) bool {
	return issuer == LegacyIssuer || slices.Contains(a.Issuers, issuer)
}

// read reads the claims of a token whose signature is good.
func (a *Authenticator) read(c *compact) (facts, error) {
	var known facts
	if c.issuer == LegacyIssuer {
		legacy, err := decodeLegacyClaims([]byte(c.payload))
		if err != nil {
			return facts{}, err
		}
		legacy.keyID = c.keyID
		known.legacy = &legacy
	}
	if slices.Contains(a.Issuers, c.issuer) {
		claims := c.claims
		if claims == nil {
			decoded, err := decodeClaims([]byte(c.payload))
			if err != nil {
				return facts{}, err
			}
			claims = &decoded
		}
		if !slices.Contains(a.Issuers, claims.Issuer) {
			return facts{}, reason.Errorf(reason.UnknownIssuer, "token issuer %q is invalid", claims.Issuer)
		}
		known.account = newAccount(claims)
		known.account.keyID = c.keyID
	}
	return known, nil
}

// errDangling refuses a token with a reference to a bound object that has neither name nor UID.
var errDangling = reason.With(reason.BadClaims, boundobject.ErrInvalidated)

// check decides about a token of a configured issuer. Clients see from the error which check failed first, so the
// order is kube-apiserver's: audience, times, objects.
func (a *Authenticator) check(ctx context.Context, whose *account, notes *reason.Checks) (*authenticator.Response, error) {
	c := whose.claims
	refused := reason.First{All: notes != nil}
	audiences, err := a.audiences(ctx, c.Audiences, c.Subject, notes)
	if refused.Stop(err) {
		return nil, err
	}
	now := a.Now()
	if err := CheckTimes(c, now, notes); refused.Stop(err) {
		return nil, err
	}
	if a.Index != nil {
		if err := a.Index.Explain(ctx, c.Binding, now, notes); refused.Stop(err) {
			return nil, err
		}
	}
	if c.dangling {
		noteDangling(notes)
		if refused.Stop(errDangling) {
			return nil, errDangling
		}
	}
	if refused.Err != nil {
		return nil, refused.Err
	}
	if notes == nil {
		noteAge(ctx, c, now)
	}
	return &authenticator.Response{Audiences: audiences, User: whose}, nil
}
