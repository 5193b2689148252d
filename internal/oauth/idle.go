package oauth

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/view"
)

const (
	// MinIdleWindow is the shortest time for which a client or a server may let tokens idle. It leaves time to write
	// down that one was used.
	MinIdleWindow = 300 * time.Second
	// idlePeriod is how often uses are written down. A deadline is put off when it is no further away than to the next
	// time and a margin, so about once in a window, however often the token is used.
	idlePeriod = MinIdleWindow / 3
	idleMargin = 10 * time.Second
	// idlePause is how long nothing is tried after the store has failed, and idlePatience how long it is waited for.
	idlePause, idlePatience = 10 * time.Second, 5 * time.Second
)

// TokenStore is where the deadlines of tokens are. Update must fail with Conflict if the token was changed since it was
// got, and both with NotFound if it is gone. It must be safe for concurrent use.
type TokenStore interface {
	Get(ctx context.Context, name string) (*oauthv1.OAuthAccessToken, error)
	Update(ctx context.Context, token *oauthv1.OAuthAccessToken) error
}

// IdleConfig says how long tokens may idle.
type IdleConfig struct {
	Index *Index
	// Window is the idle time that a use grants if the token's client sets none; 0 is for ever.
	Window time.Duration
	Store  TokenStore
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Idle puts off the deadlines of tokens that are used. A review only notes the use; the deadline is written while Run
// runs, before it passes. At most one use is noted for every token.
//
// Any number of replicas may do this: a deadline is only ever moved on, by an update of the version that was read.
type Idle struct {
	IdleConfig

	// writing is held while deadlines are written, so Flush returns after a write that had begun before.
	writing sync.Mutex
	wake    chan struct{}

	mu      sync.Mutex
	horizon int64          // deadlines before it are due, in Unix seconds
	due     map[string]use // by the name of the object
	later   map[string]use
}

// use is the last use of a token.
type use struct {
	name           string
	deadline, seen int64 // in Unix seconds
}

// NewIdle returns one that has noted no use.
func NewIdle(cfg IdleConfig) *Idle {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	i := &Idle{IdleConfig: cfg, wake: make(chan struct{}, 1), due: map[string]use{}, later: map[string]use{}}
	cfg.Index.AccessTokens.OnChange(i.changed)
	return i
}

// Used notes that a token was used. It does not wait for anything.
func (i *Idle) Used(name string, token *AccessToken, seen time.Time) {
	i.mu.Lock()
	i.note(use{name, token.Created + int64(token.IdleAfter), seen.Unix()})
	due := len(i.due) > 0
	i.mu.Unlock()
	if due {
		select {
		case i.wake <- struct{}{}:
		default:
		}
	}
}

// note takes in a use. Uses may come in any order, and the last one counts. A deadline that has moved on since makes the
// token due early, which does no harm. The lock is held.
func (i *Idle) note(u use) {
	for _, known := range []map[string]use{i.due, i.later} {
		if before, ok := known[u.name]; ok {
			u.seen = max(u.seen, before.seen)
			delete(known, u.name)
		}
	}
	if u.deadline < i.horizon {
		i.due[u.name] = u
	} else {
		i.later[u.name] = u
	}
}

// changed forgets tokens that are gone.
func (i *Idle) changed(key view.Key, obj runtime.Object) {
	if obj != nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.due, key.Name)
	delete(i.later, key.Name)
}

// Run writes deadlines until the context ends.
func (i *Idle) Run(ctx context.Context) {
	tick := time.NewTicker(idlePeriod)
	defer tick.Stop()
	i.reach(i.Now().Add(idlePeriod + idleMargin).Unix())
	for {
		var pause <-chan time.Time
		if !i.write(ctx) {
			pause = time.After(idlePause)
		}
		select {
		case <-tick.C:
			i.reach(i.Now().Add(idlePeriod + idleMargin).Unix())
		case <-i.wakeUnless(pause):
		case <-pause:
		case <-ctx.Done():
			return
		}
	}
}

// wakeUnless returns the channel that tells that a deadline has become due, or nil during a pause: after the pause all due
// deadlines are tried again.
func (i *Idle) wakeUnless(pause <-chan time.Time) <-chan struct{} {
	if pause != nil {
		return nil
	}
	return i.wake
}

// Flush writes down every use that is noted, and has Run write further ones at once. It is for the end of a server, while
// the store still answers.
func (i *Idle) Flush(ctx context.Context) {
	i.reach(math.MaxInt64)
	if !i.write(ctx) {
		klog.FromContext(ctx).Info("Some access tokens were used, and it could not be written down: they may time out early")
	}
}

// reach moves the horizon on, never back.
func (i *Idle) reach(horizon int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.horizon = max(i.horizon, horizon)
	for name, u := range i.later {
		if u.deadline < i.horizon {
			delete(i.later, name)
			i.due[name] = u
		}
	}
}

// take returns the uses that are due, the earliest deadline first.
func (i *Idle) take() []use {
	i.mu.Lock()
	defer i.mu.Unlock()
	uses := make([]use, 0, len(i.due))
	for _, u := range i.due {
		uses = append(uses, u)
	}
	clear(i.due)
	slices.SortFunc(uses, func(a, b use) int { return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(a.name, b.name)) })
	return uses
}

// write writes the deadlines that are due. It reports false if the store could not be reached; uses that are not written
// stay noted.
func (i *Idle) write(ctx context.Context) bool {
	i.writing.Lock()
	defer i.writing.Unlock()
	uses := i.take()
	for n, u := range uses {
		err := i.putOff(ctx, u)
		switch {
		case err == nil, apierrors.IsNotFound(err):
		case refuses(err):
			// Asking again would change nothing.
			klog.FromContext(ctx).Error(err, "The idle deadline of an access token could not be put off")
		default:
			i.mu.Lock()
			for _, left := range uses[n:] {
				i.note(left)
			}
			i.mu.Unlock()
			return false
		}
	}
	return true
}

// refuses reports whether the store has answered that it won't do this, whenever it is asked.
func refuses(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) || apierrors.IsMethodNotSupported(err)
}
