package tokenreview

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/cache"
)

// ErrUnavailable says that there is no verdict: the server does not answer, or refuses to review. The token may be good.
var ErrUnavailable = errors.New("the token could not be reviewed")

// Client reviews tokens and caches the verdicts. It is an authenticator.Token, and safe for concurrent use.
type Client struct {
	cfg    Config
	server *server
	start  time.Time

	secret [sha256.Size]byte
	salt   [sha256.Size]byte // of the configured audiences
	good   *cache.Cache[*verdict]
	bad    *cache.Cache[*verdict]
	ended  marks
	// fresh is the instant until which the feed is whole.
	fresh   atomic.Int64
	issuers atomic.Pointer[map[string]struct{}] // those of the feed

	places  chan struct{}
	rate    *rate.Limiter
	keys    *keySet
	gather  *gatherer
	context context.Context //nolint:containedctx // reviews go on when the caller who began them has gone
	stop    context.CancelFunc
	running sync.WaitGroup
	stats   counts

	mu      sync.Mutex
	flights map[cache.Key]*flight
}

var _ authenticator.Token = (*Client)(nil)

// flight is a review that is under way, for whoever waits for it.
type flight struct {
	done    chan struct{}
	verdict *verdict
	err     error
}

func newClient(cfg Config, s *server) *Client {
	c := &Client{
		cfg: cfg, server: s, start: cfg.Now(),
		good: cache.New[*verdict](cfg.CacheBytes - cfg.CacheBytes/8), bad: cache.New[*verdict](cfg.CacheBytes / 8),
		places: make(chan struct{}, cfg.MaxInFlight), rate: rate.NewLimiter(rate.Limit(cfg.MaxRate), max(1, int(cfg.MaxRate))),
		flights: map[cache.Key]*flight{},
	}
	_, _ = rand.Read(c.secret[:]) // never fails
	c.salt = c.saltOf(cfg.Audiences)
	c.ended.init(cfg.LongTTL)
	c.context, c.stop = context.WithCancel(context.Background())
	if cfg.Keys != nil {
		c.keys = newKeySet(c, *cfg.Keys)
	}
	if cfg.Gather {
		c.gather = &gatherer{client: c}
	}
	if !cfg.WithoutFeed && cfg.ShortTTL < cfg.LongTTL {
		c.running.Go(func() { (&follower{client: c}).run(c.context) })
	}
	return c
}

// Close ends the feed and the reviews that are under way, and returns when they have ended.
func (c *Client) Close() {
	c.mu.Lock()
	c.stop() // under the lock: no review begins afterwards
	c.mu.Unlock()
	c.running.Wait()
	if c.server.credentials != nil {
		c.server.credentials.Close()
	}
	c.server.http.CloseIdleConnections()
}

// AuthenticateToken returns the user of a token. It reports false, with or without an error, for a token that is refused. An
// error that is ErrUnavailable says that there is no verdict. The response is shared and must not be changed.
func (c *Client) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if token == "" {
		return nil, false, nil
	}
	salt, audiences := &c.salt, c.cfg.Audiences
	if asked, ok := authenticator.AudiencesFrom(ctx); ok && len(asked) > 0 && !slices.Equal(asked, audiences) {
		other := c.saltOf(asked)
		salt, audiences = &other, asked
	}
	key := cache.KeyOf(salt[:], token)
	now := c.now()
	if v, ok := c.good.Get(key); ok && c.holds(key, v, now) {
		c.stats.hits.Add(1)
		return v.response, true, nil
	}
	if v, ok := c.bad.Get(key); ok && now < v.short {
		c.stats.hits.Add(1)
		return nil, false, v.err
	}
	return c.ask(ctx, key, token, audiences)
}

// saltOf returns the salt of audiences in their order. It depends on a secret, and has a fixed length, so that no two questions share
// a key.
func (c *Client) saltOf(audiences []string) [sha256.Size]byte {
	text := binary.BigEndian.AppendUint64(c.secret[:len(c.secret):len(c.secret)], uint64(len(audiences)))
	for _, audience := range audiences {
		text = append(binary.BigEndian.AppendUint64(text, uint64(len(audience))), audience...)
	}
	return sha256.Sum256(text)
}

// now returns how long the client has been there, in nanoseconds.
func (c *Client) now() int64 { return int64(c.cfg.Now().Sub(c.start)) }

// instant returns a time by the clock of now.
func (c *Client) instant(t time.Time) int64 { return c.now() + int64(t.Sub(c.cfg.Now())) }

// holds reports whether a success may be answered again.
func (c *Client) holds(key cache.Key, v *verdict, now int64) bool {
	if now >= v.short && (now >= v.long || now >= c.fresh.Load()) {
		return false
	}
	seq := c.ended.seq.Load()
	if v.checked.Load() == seq {
		return true
	}
	if c.ended.cover(v) {
		c.good.Remove(key)
		c.stats.ended.Add(1)
		return false
	}
	v.checked.Store(seq)
	return true
}

// ask waits for a review of the token: one that is under way, or a new one.
func (c *Client) ask(ctx context.Context, key cache.Key, token string, audiences []string) (*authenticator.Response, bool, error) {
	c.mu.Lock()
	if c.context.Err() != nil {
		c.mu.Unlock()
		return nil, false, fmt.Errorf("%w: the client is closed", ErrUnavailable)
	}
	f, ok := c.flights[key]
	if ok {
		c.stats.shared.Add(1)
	} else {
		f = &flight{done: make(chan struct{})}
		c.flights[key] = f
		c.running.Go(func() { c.fly(f, key, token, audiences) })
	}
	c.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, false, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
	if f.err != nil {
		return nil, false, f.err
	}
	return f.verdict.response, f.verdict.response != nil, f.verdict.err
}

// fly reviews a token and keeps the verdict.
func (c *Client) fly(f *flight, key cache.Key, token string, audiences []string) {
	defer func() {
		if value := recover(); value != nil {
			f.err = fmt.Errorf("%w: a panic of type %T", ErrUnavailable, value)
		}
		c.mu.Lock()
		delete(c.flights, key)
		c.mu.Unlock()
		close(f.done)
	}()
	ctx, cancel := context.WithTimeout(c.context, c.cfg.Timeout)
	defer cancel()
	seq := c.ended.seq.Load() // whatever ends from here on ends the verdict
	if c.keys != nil {
		if refusal := c.keys.check(ctx, token); refusal != nil {
			c.stats.local.Add(1)
			f.verdict = &verdict{err: refusal}
			return
		}
	}
	status, err := c.review(ctx, token, audiences)
	if err != nil {
		c.stats.unavailable.Add(1)
		f.err = err
		return
	}
	f.verdict = c.keep(key, newVerdict(status, token, audiences, seq, &c.ended))
}

// keep caches a verdict for as long as it may be answered again.
func (c *Client) keep(key cache.Key, v *verdict) *verdict {
	now := c.now()
	if v.response == nil {
		v.short = now + int64(c.cfg.FailureTTL)
		if c.cfg.FailureTTL > 0 {
			c.bad.Add(key, v, v.size())
		}
		return v
	}
	v.short, v.long = now+int64(c.cfg.ShortTTL), now+int64(c.cfg.LongTTL)
	end, soon := c.ended.near(v, now)
	if soon || !c.covered(v.issuer) {
		v.long = v.short
	}
	if !v.expires.IsZero() {
		end = min(end, c.instant(v.expires))
	}
	v.short, v.long = min(v.short, end), min(v.long, end)
	if now < max(v.short, v.long) {
		c.good.Add(key, v, v.size())
	}
	return v
}

// covered reports whether the feed tells of every end of an issuer's tokens.
func (c *Client) covered(issuer string) bool {
	issuers := c.issuers.Load()
	if issuers == nil || issuer == "" {
		return false
	}
	_, ok := (*issuers)[issuer]
	return ok
}
