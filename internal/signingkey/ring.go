package signingkey

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// TokenSigner signs tokens with one key, or has them signed. It must be safe for concurrent use, and comparable: contents
// have the same signer while the same key signs.
type TokenSigner interface {
	// Sign returns the token that carries the claims, in JWS compact serialization, and the key id in its header. end is
	// the end of the token, to the second; zero for a token without end. An error with a method Unavailable says that
	// trying again may help.
	Sign(ctx context.Context, claims []byte, end time.Time) (token, keyID string, err error)
}

// PublicKey is a key whose tokens are accepted.
type PublicKey struct {
	// ID is the key id in the header of its tokens. Several keys may have the same.
	ID     string
	Public crypto.PublicKey
	// Hidden keeps the key out of the published key set.
	Hidden bool
}

// Contents are all keys at an instant. They hold until the source says that they have changed, but only while the clock
// is between From and Until; a zero time is no bound.
type Contents struct {
	// Keys are in the order in which they are published, the most used first.
	Keys []PublicKey
	// Signers are the signers by algorithm.
	Signers map[string]TokenSigner
	// Default is the algorithm of the tokens for which no other is asked, or for whose algorithm there is no signer.
	Default     string
	From, Until time.Time
	// MaxAge is how long relying parties may keep the published documents; 0 means maxMaxAge.
	MaxAge time.Duration
	// FreshUntil is when the source looks for other keys, if it does so by itself; zero if it doesn't. Relying parties may keep
	// the documents until then.
	FreshUntil time.Time
}

// maxMaxAge is how long relying parties may keep the published documents at most, as with kube-apiserver.
const maxMaxAge = time.Hour

// A Source knows the keys. Its methods are safe for concurrent use.
type Source interface {
	// Bind is called once, before any other method. The source calls changed whenever Contents would say something else
	// than before, from any goroutine, also with its locks held.
	Bind(changed func())
	// Contents returns the keys as they are at an instant. It takes them from memory. The error says why they aren't
	// known; the contents before then hold on.
	Contents(now time.Time) (Contents, error)
	// Find is asked for a key id that the contents lack. When it returns nil, the contents have every key that was there
	// when Find was called. Its error has a method Unavailable.
	Find(ctx context.Context, keyID string) error
	// Run keeps the source up to date until the context ends.
	Run(ctx context.Context)
}

// Snapshot is an unchanging state of all keys: what signs, what verifies and what is published belong together.
type Snapshot struct {
	set         *KeySet
	signers     map[string]TokenSigner
	fallback    string
	published   *Published
	trusted     Trusted
	from, until time.Time
	generation  uint64
}

// covers reports whether the snapshot holds at an instant.
func (s *Snapshot) covers(now time.Time) bool {
	return (s.from.IsZero() || !now.Before(s.from)) && (s.until.IsZero() || now.Before(s.until))
}

// Ring has the keys behind signing, checking and publishing. It swaps one snapshot of them for the next when the source has
// changed or a key's time has come.
type Ring struct {
	source     Source
	now        func() time.Time
	snapshot   atomic.Pointer[Snapshot]
	generation atomic.Uint64 // counts the changes of the source
	wake       chan struct{}

	mu sync.Mutex // for making a snapshot
}

// NewRing returns the ring of the keys of a source. A nil clock means time.Now.
func NewRing(source Source, now func() time.Time) *Ring {
	if now == nil {
		now = time.Now
	}
	registerMetrics()
	r := &Ring{source: source, now: now, wake: make(chan struct{}, 1)}
	// Nothing is known at first, and no key is in it.
	r.snapshot.Store(&Snapshot{set: &KeySet{}})
	r.generation.Store(1)
	source.Bind(r.changed)
	r.fresh().set.makeTables()
	return r
}

func (r *Ring) changed() {
	r.generation.Add(1)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// fresh returns the snapshot of now.
func (r *Ring) fresh() *Snapshot {
	if s := r.snapshot.Load(); s.generation == r.generation.Load() && s.covers(r.now()) {
		return s
	}
	return r.renew()
}

// renew makes the snapshot of now. If the source can't tell the keys, the last ones hold on.
func (r *Ring) renew() *Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, generation, now := r.snapshot.Load(), r.generation.Load(), r.now()
	if old.generation == generation && old.covers(now) {
		return old
	}
	contents, err := r.source.Contents(now)
	if err != nil {
		return old
	}
	s := &Snapshot{
		signers: contents.Signers, fallback: contents.Default, from: contents.From, until: contents.Until, generation: generation,
		set: old.set.succeededBy(contents.Keys),
	}
	if s.published, err = publish(old.published, s.set.published, maxAge(contents.MaxAge), contents.FreshUntil); err != nil {
		klog.Background().Error(err, "Keys can't be published; what was good holds on")
		kept := *old
		kept.generation = generation
		r.snapshot.Store(&kept)
		return &kept
	}
	s.trusted = old.trusted.succeededBy(contents.Keys, s.published.MaxAge, now)
	r.snapshot.Store(s)
	old.set.withdraw(s.set)
	for id := range old.set.byID {
		if !s.set.Holds(id) {
			metrics.Signed.DeleteLabelValues(id)
		}
	}
	return s
}

func maxAge(asked time.Duration) time.Duration {
	if asked == 0 || asked > maxMaxAge {
		return maxMaxAge
	}
	return max(asked.Truncate(time.Second), time.Second)
}

// publish returns what is published of the keys. It is what was published before if that says the same.
func publish(before *Published, keys []*Key, maxAge time.Duration, freshUntil time.Time) (*Published, error) {
	if before != nil && before.MaxAge == maxAge && before.FreshUntil.Equal(freshUntil) && slices.Equal(before.keys, keys) {
		return before, nil
	}
	published, err := newPublished(keys, maxAge)
	if err == nil {
		published.FreshUntil = freshUntil
	}
	return published, err
}

// recheck is how often the clock is looked at: it may be set.
const recheck = 30 * time.Second

// Run swaps the snapshots in time until the context ends, and keeps the source up to date.
func (r *Ring) Run(ctx context.Context) {
	var source sync.WaitGroup
	defer source.Wait()
	source.Go(func() { r.source.Run(ctx) })
	for ctx.Err() == nil {
		s := r.fresh()
		// The multiples of a key are made here, so that no request waits for them.
		s.set.makeTables()
		pause := recheck
		if !s.until.IsZero() {
			pause = max(min(pause, s.until.Sub(r.now())), time.Millisecond)
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// Sign returns a token that carries the claims, signed with an algorithm. Without a signer for the algorithm, and with the
// empty one, the default signs. end is the end of the token; zero for one without end.
func (r *Ring) Sign(ctx context.Context, algorithm string, claims []byte, end time.Time) (string, error) {
	token, _, err := r.sign(ctx, algorithm, claims, end, false)
	return token, err
}

// sign returns the token and its key id. With typed set, its header has a typ.
func (r *Ring) sign(ctx context.Context, algorithm string, claims []byte, end time.Time, typed bool) (token, keyID string, err error) {
	for range maxTurns {
		s := r.fresh()
		signer := s.signer(algorithm)
		switch {
		case s.generation == 0:
			return "", "", errUnread
		case signer == nil:
			return "", "", errNoSigner
		case typed:
			token, keyID, err = signJWT(ctx, signer, claims, end)
		default:
			token, keyID, err = signer.Sign(ctx, claims, end)
		}
		// A token must not go out when another key has taken over meanwhile.
		if now := r.fresh(); now != s && now.signer(algorithm) != signer {
			continue
		}
		if err != nil {
			return "", "", err
		}
		if keys := s.set.byID[keyID]; len(keys) > 0 {
			keys[0].signed.Inc()
		}
		return token, keyID, nil
	}
	return "", "", unavailable("the signing keys change too fast, please try again later", nil)
}

// maxTurns is how often a token is signed anew because another key has taken over.
const maxTurns = 3

// signer returns what signs with an algorithm, or else by default; nil if nothing does.
func (s *Snapshot) signer(algorithm string) TokenSigner {
	if signer := s.signers[algorithm]; signer != nil {
		return signer
	}
	return s.signers[s.fallback]
}

// errNoSigner says that no key signs.
var errNoSigner = errors.New("no signing key is active: make one with 'mintmark keys rotate'")

// Holds reports whether a token that names this key id could be accepted, as far as is known here.
func (r *Ring) Holds(id string) bool {
	s := r.snapshot.Load()
	return s.set.Holds(id) || s.generation != r.generation.Load() && r.renew().set.Holds(id)
}

// Find is asked about a key id that Holds does not know, before a token is refused. An error says that it can't be told
// whether there is such a key.
func (r *Ring) Find(ctx context.Context, id string) error {
	if r.Holds(id) {
		return nil
	}
	if err := r.source.Find(ctx, id); err != nil {
		return err
	}
	if r.fresh().generation == 0 {
		return errUnread
	}
	return nil
}

// Verify returns the key that made a signature. A token that names a key is checked with the keys of that id alone; one
// that names none (an empty id) is checked with all. What is remembered of the token counts while the key is not
// withdrawn.
func (r *Ring) Verify(algorithm, id, signed, signature string) (interface{ Withdrawn() bool }, error) {
	key, err := r.fresh().set.Verify(algorithm, id, signed, signature)
	if err != nil {
		return nil, err
	}
	return key, nil
}

// Published returns what relying parties are shown. It is the same pointer while nothing changes.
func (r *Ring) Published() (*Published, error) {
	if s := r.fresh(); s.published != nil {
		return s.published, nil
	}
	return nil, errUnread
}

// Unavailable is an error that says nothing about a token: trying again may help.
type Unavailable struct {
	Reason string
	Cause  error
}

// errUnread says that the keys have not been read since the start.
var errUnread = &Unavailable{Reason: "the signing keys have not been read yet"}

// Error is for clients, so it does not have the cause.
func (u *Unavailable) Error() string { return u.Reason }

// Unwrap returns the cause.
func (u *Unavailable) Unwrap() error { return u.Cause }

// Unavailable marks an error that is not a refusal.
func (*Unavailable) Unavailable() {}

// Status is the error as the API has it.
func (u *Unavailable) Status() metav1.Status {
	return metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable,
		Message: u.Reason, Details: &metav1.StatusDetails{RetryAfterSeconds: 1},
	}
}

// Static is a source of keys that never change.
type Static struct{ contents Contents }

// NewStatic returns a source with one signer, which may be nil, and these keys.
func NewStatic(signer *Signer, public []crypto.PublicKey) (*Static, error) {
	s := &Static{}
	if signer != nil {
		s.contents.Default = signer.algorithm
		s.contents.Signers = map[string]TokenSigner{signer.algorithm: signer.AsTokenSigner()}
	}
	for i, key := range public {
		if _, err := algorithmFor(key); err != nil {
			return nil, fmt.Errorf("error constructing JWK for key #%d: %w", i, err)
		}
		id, err := KeyID(key)
		if err != nil {
			return nil, err
		}
		s.contents.Keys = append(s.contents.Keys, PublicKey{ID: id, Public: key})
	}
	return s, nil
}

// Bind does nothing.
func (*Static) Bind(func()) {}

// Contents returns the keys.
func (s *Static) Contents(time.Time) (Contents, error) { return s.contents, nil }

// Find finds nothing: there are no further keys.
func (*Static) Find(context.Context, string) error { return nil }

// Run returns at once.
func (*Static) Run(context.Context) {}

// AsTokenSigner returns the signer as a ring takes it.
func (s *Signer) AsTokenSigner() TokenSigner { return plainSigner{s} }

type plainSigner struct{ *Signer }

func (p plainSigner) Sign(ctx context.Context, claims []byte, _ time.Time) (token, keyID string, err error) {
	token, err = p.Signer.Sign(ctx, claims)
	return token, p.id, err
}
