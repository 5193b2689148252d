package tokensource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	// renewAt is the part of a token's life after which it is renewed, spread over the one before so that many programs that
	// began together don't renew together.
	renewAt, spread = 0.80, 0.05
	// firstPause and longestPause are those between attempts that fail.
	firstPause, longestPause = time.Second, time.Minute
	// forcedEvery is the least time between two tokens that were asked for because a server refused one.
	forcedEvery = 5 * time.Second
)

// ErrUnavailable says that there is no token: the last one has ended, if there was one, and the next one can't be had.
var ErrUnavailable = errors.New("no token can be had")

// Source has the latest token. It is safe for concurrent use.
type Source struct {
	fetch   func(context.Context) (*issued, error)
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	context context.Context //nolint:containedctx // a token is asked for on behalf of all who wait
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	last    *issued
	next    *flight
	failure error         // of the last attempt
	pause   time.Duration // after the next one that fails
	again   time.Time     // not before then
	forced  time.Time     // when a token was last asked for because one was refused
}

var _ oauth2.TokenSource = (*Source)(nil)

// issued is a token with its times by this process's clock. A zero end is never, and a zero renewal too.
type issued struct {
	token        string
	renewal, end time.Time
}

// flight is an attempt that is under way.
type flight struct {
	done chan struct{}
	err  error
}

func newSource(fetch func(context.Context) (*issued, error), timeout time.Duration, now func() time.Time, log *slog.Logger) *Source {
	s := &Source{fetch: fetch, timeout: timeout, now: now, log: log, pause: firstPause}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.context, s.stop = context.WithCancel(context.Background())
	return s
}

// Close ends what is under way. The source returns no tokens afterwards.
func (s *Source) Close() {
	s.mu.Lock()
	s.stop() // under the lock: no attempt begins afterwards
	s.mu.Unlock()
	s.running.Wait()
}

// Token returns a good token. It waits for a new one only if there is none that is good. The error is ErrUnavailable.
func (s *Source) Token() (*oauth2.Token, error) { return s.TokenContext(context.Background()) }

// TokenContext is Token for a caller who does not wait beyond a context. The request for a token goes on for others.
func (s *Source) TokenContext(ctx context.Context) (*oauth2.Token, error) {
	for range 2 {
		s.mu.Lock()
		if s.context.Err() != nil {
			s.mu.Unlock()
			return nil, fmt.Errorf("%w: the source is closed", ErrUnavailable)
		}
		now := s.now()
		last, good := s.last, s.last.good(now)
		if good && !s.last.due(now) {
			s.mu.Unlock()
			return last.oauth2(), nil
		}
		f := s.begin(now)
		failure := s.failure
		s.mu.Unlock()
		switch {
		case good:
			return last.oauth2(), nil
		case f == nil:
			return nil, failure
		}
		if err := wait(ctx, f); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: the newest token has ended already", ErrUnavailable)
}

// good reports whether a token may be used.
func (t *issued) good(now time.Time) bool { return t != nil && (t.end.IsZero() || now.Before(t.end)) }

// due reports whether a token is to be renewed.
func (t *issued) due(now time.Time) bool { return !t.renewal.IsZero() && !now.Before(t.renewal) }

func (t *issued) oauth2() *oauth2.Token {
	return &oauth2.Token{AccessToken: t.token, TokenType: "Bearer", Expiry: t.end}
}

// begin returns the attempt that is under way, or begins one. It returns nil if one has failed a moment ago. The lock is held.
func (s *Source) begin(now time.Time) *flight {
	if s.next == nil && now.Before(s.again) {
		return nil
	}
	if s.next == nil {
		f := &flight{done: make(chan struct{})}
		s.next = f
		s.running.Go(func() { s.attempt(f) })
	}
	return s.next
}

// attempt asks for a token once.
func (s *Source) attempt(f *flight) {
	ctx, cancel := context.WithTimeout(s.context, s.timeout)
	defer cancel()
	got, err := func() (got *issued, err error) {
		defer func() {
			if value := recover(); value != nil {
				err = fmt.Errorf("a panic of type %T", value)
			}
		}()
		return s.fetch(ctx)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	s.next = nil
	if err == nil {
		s.last, s.failure, s.pause, s.again = got, nil, firstPause, time.Time{}
		return
	}
	f.err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	s.failure = f.err
	s.again = s.now().Add(s.pause/2 + rand.N(s.pause)) //nolint:gosec // nobody gains from guessing it
	s.pause = min(2*s.pause, longestPause)
	if s.last.good(s.now()) {
		s.log.Warn("The token can't be renewed; the last one is used until it ends", "reason", err, "end", s.last.end)
	}
}

func wait(ctx context.Context, f *flight) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// replace returns another token than one that a server has refused, or nil if there is none.
func (s *Source) replace(ctx context.Context, refused string) *oauth2.Token {
	s.mu.Lock()
	now := s.now()
	if last := s.last; last.good(now) && last.token != refused {
		s.mu.Unlock()
		return last.oauth2()
	}
	if s.context.Err() != nil || !s.forced.IsZero() && now.Sub(s.forced) < forcedEvery {
		s.mu.Unlock()
		return nil
	}
	f := s.begin(now)
	if f != nil {
		s.forced = now
	}
	s.mu.Unlock()
	if f == nil || wait(ctx, f) != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.last; last.good(s.now()) && last.token != refused {
		return last.oauth2()
	}
	return nil
}
