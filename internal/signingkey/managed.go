package signingkey

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// Store is where the objects of managed keys are. Its errors say that the store did not answer, but for those of the API:
// NotFound and AlreadyExists.
type Store interface {
	// List reads all objects as they are stored now.
	List(ctx context.Context) ([]*v1alpha1.SigningKey, error)
	// Create stores an object.
	Create(ctx context.Context, key *v1alpha1.SigningKey) error
	// Update changes a stored object by compare-and-swap. change gets the object as it is stored; if it returns an error,
	// nothing is written and Update returns that error. When Update returns nil, Set has been called with the object.
	Update(ctx context.Context, name string, change func(*v1alpha1.SigningKey) error) error
	// Ensure returns nil if Set has told all that was stored a moment ago, and every object can be read.
	Ensure(ctx context.Context) error
	// Known reports whether Set has told all objects that were stored at the start.
	Known() bool
}

// Secrets has the private halves, by SecretName.
type Secrets interface {
	// Create stores a private half. It fails if there is one of that name.
	Create(ctx context.Context, name string, plain []byte) error
	// Get returns a private half, or nil if there is none of that name.
	Get(ctx context.Context, name string) ([]byte, error)
}

// ManagedConfig says what managed keys are made of.
type ManagedConfig struct {
	Store   Store
	Secrets Secrets
	// Lead is how long a key is published before it signs, unless its object says otherwise.
	Lead time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Managed is the source of keys whose objects are in the store. Their life is that of Plan.
type Managed struct {
	ManagedConfig
	lookups lookups
	changed func()
	wake    chan struct{} // has private halves loaded

	mu      sync.Mutex
	objects map[string]*v1alpha1.SigningKey
	// found are objects that were read from the store and of which Set has not told yet.
	found   map[string]foundKey
	signers map[string]*managedSigner // by the name of the object
	parsed  map[string]PublicKey      // by the PEM
}

var _ Source = (*Managed)(nil)

// NewManaged returns the source of managed keys. The owner of the store calls Set for each stored object, and whenever one
// changes.
func NewManaged(cfg ManagedConfig) *Managed {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Managed{
		ManagedConfig: cfg, changed: func() {}, wake: make(chan struct{}, 1),
		lookups: lookups{pace: rate.NewLimiter(lookupsPerSecond, lookupBurst)},
		objects: map[string]*v1alpha1.SigningKey{}, found: map[string]foundKey{},
		signers: map[string]*managedSigner{}, parsed: map[string]PublicKey{},
	}
}

// Bind sets what is called when keys change.
func (m *Managed) Bind(changed func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = changed
}

// Set takes in that an object was stored, or that it is gone if key is nil. It keeps a copy.
func (m *Managed) Set(name string, key *v1alpha1.SigningKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if key == nil {
		delete(m.objects, name)
		delete(m.found, name)
	} else {
		m.objects[name] = key.DeepCopy()
		if found, ok := m.found[name]; ok && version(found.key) <= version(key) {
			delete(m.found, name)
		}
	}
	m.follow(name, key)
	m.changed()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// follow has the signer of an object know what is recorded. The lock is held.
func (m *Managed) follow(name string, key *v1alpha1.SigningKey) {
	signer := m.signers[name]
	if signer != nil && (key == nil || key.Spec.KeyID != signer.keyID) {
		delete(m.signers, name)
		signer = nil
	}
	switch {
	case key == nil:
	case signer == nil:
		signer = &managedSigner{managed: m, name: name, keyID: key.Spec.KeyID}
		m.signers[name] = signer
		fallthrough
	default:
		signer.record(key)
	}
}

// version is the version of the store that an object is of.
func version(key *v1alpha1.SigningKey) uint64 {
	n, _ := strconv.ParseUint(key.ResourceVersion, 10, 64)
	return n
}

// Keys returns the objects, as far as they are known. They must not be changed.
func (m *Managed) Keys() []*v1alpha1.SigningKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys, _ := m.keys(m.Now())
	return keys
}

// keys returns the objects, and until when they count if Set is not called. The lock is held.
func (m *Managed) keys(now time.Time) (keys []*v1alpha1.SigningKey, until time.Time) {
	for name, key := range m.objects {
		if found, ok := m.found[name]; !ok || !now.Before(found.until) {
			keys = append(keys, key)
		}
	}
	for name, found := range m.found {
		if !now.Before(found.until) {
			delete(m.found, name)
			continue
		}
		keys = append(keys, found.key)
		if until.IsZero() || found.until.Before(until) {
			until = found.until
		}
	}
	slices.SortFunc(keys, func(a, b *v1alpha1.SigningKey) int { return strings.Compare(a.Name, b.Name) })
	return keys, until
}

// Contents returns the keys as Plan has them.
func (m *Managed) Contents(now time.Time) (Contents, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys, until := m.keys(now)
	if !m.Store.Known() && len(m.found) == 0 {
		return Contents{}, errUnread
	}
	schedule := Plan(keys, now)
	lives := slices.Clone(schedule.Keys)
	slices.SortStableFunc(lives, compareUse)
	c := Contents{Signers: map[string]TokenSigner{}, From: schedule.last(now), Until: earlier(schedule.Next, until), MaxAge: m.maxAge(lives)}
	for i := range lives {
		l := &lives[i]
		if !l.Verifies() {
			continue
		}
		public, err := m.parse(&l.Key.Spec)
		if err != nil {
			klog.Background().Error(err, "A signing key can't be used: delete its object", "signingkey", l.Key.Name)
			continue
		}
		c.Keys = append(c.Keys, public)
		if l.State == v1alpha1.SigningKeyActive {
			if signer := m.signers[l.Key.Name]; signer != nil {
				c.Signers[l.Key.Spec.Algorithm] = signer
			}
		}
	}
	c.Default = schedule.defaultAlgorithm()
	metrics.note(&schedule, now)
	return c, nil
}

// compareUse sorts by how much keys are used: those that sign, those that will, and then those that have signed last.
func compareUse(a, b Life) int {
	order := func(l *Life) int {
		return slices.Index([]v1alpha1.SigningKeyState{v1alpha1.SigningKeyActive, v1alpha1.SigningKeyPrepared, v1alpha1.SigningKeyRetired, v1alpha1.SigningKeyGone}, l.State)
	}
	if by := order(&a) - order(&b); by != 0 || a.State != v1alpha1.SigningKeyRetired {
		return by
	}
	return b.RetiredSince.Compare(a.RetiredSince)
}

// earlier returns the earlier of two times, of which a zero one never comes.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// last returns the latest change of a state until now.
func (s *Schedule) last(now time.Time) time.Time {
	var last time.Time
	for i := range s.Keys {
		l := &s.Keys[i]
		for _, change := range []time.Time{l.SigningSince, l.RetiredSince, l.GoneAt} {
			if !change.After(now) && change.After(last) {
				last = change
			}
		}
	}
	return last
}

// defaultAlgorithm returns the algorithm that signs if no other is asked for: DefaultAlgorithm, or that of the key that has
// signed the longest if no key signs with it. It is empty if no key signs.
func (s *Schedule) defaultAlgorithm() string {
	if s.Active(DefaultAlgorithm) != nil {
		return DefaultAlgorithm
	}
	var oldest *Life
	for i := range s.Keys {
		if l := &s.Keys[i]; l.State == v1alpha1.SigningKeyActive && (oldest == nil || l.SigningSince.Before(oldest.SigningSince)) {
			oldest = l
		}
	}
	if oldest == nil {
		return ""
	}
	return oldest.Key.Spec.Algorithm
}

// maxAge returns how long relying parties may keep the documents: never longer than a key that they will need is published
// before it signs.
func (m *Managed) maxAge(lives []Life) time.Duration {
	age := maxMaxAge
	if m.Lead > 0 {
		age = min(age, m.Lead)
	}
	for i := range lives {
		l := &lives[i]
		if l.State == v1alpha1.SigningKeyPrepared && l.Published() {
			age = min(age, max(l.SigningSince.Sub(l.published()), time.Second))
		}
	}
	return age
}

// parse returns the public half of a key. The lock is held.
func (m *Managed) parse(spec *v1alpha1.SigningKeySpec) (PublicKey, error) {
	known, ok := m.parsed[spec.PublicKey]
	if !ok {
		public, err := ParsePublic([]byte(spec.PublicKey), "spec.publicKey")
		if err != nil {
			return PublicKey{}, err
		}
		if known, err = identified(public); err != nil {
			return PublicKey{}, err
		}
		if len(m.parsed) > 2*(len(m.objects)+len(m.found)) {
			clear(m.parsed) // of keys that are gone
		}
		m.parsed[spec.PublicKey] = known
	}
	if known.ID != spec.KeyID {
		return PublicKey{}, fmt.Errorf("spec.keyID is %q; that of spec.publicKey is %q", spec.KeyID, known.ID)
	}
	known.Hidden = spec.Hidden
	return known, nil
}

func identified(public crypto.PublicKey) (PublicKey, error) {
	id, err := KeyID(public)
	return PublicKey{ID: id, Public: public}, err
}

// Run loads the private halves before they are needed, until the context ends.
func (m *Managed) Run(ctx context.Context) {
	measure := time.NewTicker(measureEvery)
	defer measure.Stop()
	for ctx.Err() == nil {
		for _, signer := range m.wanted() {
			if _, err := signer.load(ctx); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "The private half of a signing key can't be loaded; trying again", "signingkey", signer.name)
			}
		}
		select {
		case <-m.wake:
		case <-measure.C:
		case <-ctx.Done():
		}
	}
}

// wanted returns the signers whose turn is or will be, and measures the keys.
func (m *Managed) wanted() []*managedSigner {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Now()
	keys, _ := m.keys(now)
	schedule := Plan(keys, now)
	var wanted []*managedSigner
	for i := range schedule.Keys {
		l := &schedule.Keys[i]
		if l.State == v1alpha1.SigningKeyActive || l.State == v1alpha1.SigningKeyPrepared {
			if signer := m.signers[l.Key.Name]; signer != nil {
				wanted = append(wanted, signer)
			}
		}
	}
	metrics.note(&schedule, now)
	return wanted
}
