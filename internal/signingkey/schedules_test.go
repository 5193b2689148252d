package signingkey

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
)

// cell is a value that several goroutines read and write; it is zero at first.
type cell[T any] struct{ value atomic.Pointer[T] }

func (c *cell[T]) get() (value T) {
	if p := c.value.Load(); p != nil {
		value = *p
	}
	return value
}

func (c *cell[T]) set(value T) { c.value.Store(&value) }

// cluster is a store with replicas of a server over it, in simulated time.
type cluster struct {
	mu       sync.Mutex
	version  int
	objects  map[string]*v1alpha1.SigningKey
	private  map[string][]byte
	down     cell[bool]
	replicas []*replica
	// crash has the next write of one replica fail after it was made.
	crash *replica
}

// replica is a server. Its view lags, and its clock is off.
type replica struct {
	*cluster
	managed *Managed
	ring    *Ring
	skew    cell[time.Duration]
	lag     time.Duration
	cut     cell[bool]
	seenAt  cell[time.Time] // when its view was as new as it is
}

func newCluster() *cluster {
	return &cluster{objects: map[string]*v1alpha1.SigningKey{}, private: map[string][]byte{}}
}

// start adds a replica.
func (c *cluster) start(skew, lag, lead time.Duration) *replica {
	r := &replica{cluster: c, lag: lag}
	r.skew.set(skew)
	r.managed = NewManaged(ManagedConfig{Store: r, Secrets: secrets{c}, Lead: lead, Now: r.clock})
	r.ring = NewRing(r.managed, r.clock)
	c.mu.Lock()
	for name, key := range c.objects {
		r.managed.Set(name, key)
	}
	r.seenAt.set(time.Now())
	c.replicas = append(c.replicas, r)
	c.mu.Unlock()
	return r
}

func (r *replica) clock() time.Time { return time.Now().Add(r.skew.get()) }

// tell brings a change to the views of all replicas, each after its lag.
func (c *cluster) tell(name string, key *v1alpha1.SigningKey) {
	at := time.Now()
	for _, r := range c.replicas {
		if r.cut.get() {
			continue
		}
		time.AfterFunc(r.lag, func() {
			if !r.cut.get() {
				r.managed.Set(name, key)
				r.seenAt.set(at)
			}
		})
	}
}

var errDown = errors.New("the store is down")

// all returns the objects by name. They are not to be changed.
func (c *cluster) all() map[string]*v1alpha1.SigningKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.objects)
}

func (c *cluster) List(context.Context) ([]*v1alpha1.SigningKey, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down.get() {
		return nil, errDown
	}
	var keys []*v1alpha1.SigningKey
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		keys = append(keys, c.objects[name].DeepCopy())
	}
	return keys, nil
}

func (r *replica) List(ctx context.Context) ([]*v1alpha1.SigningKey, error) {
	if r.cut.get() {
		return nil, errDown
	}
	return r.cluster.List(ctx)
}

func (r *replica) Create(_ context.Context, key *v1alpha1.SigningKey) error {
	c := r.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.down.get(), r.cut.get():
		return errDown
	case c.objects[key.Name] != nil:
		return apierrors.NewAlreadyExists(v1alpha1.Resource("signingkeys"), key.Name)
	}
	return r.put(key)
}

// put stores an object. The lock is held.
func (r *replica) put(key *v1alpha1.SigningKey) error {
	c := r.cluster
	c.version++
	stored := key.DeepCopy()
	stored.ResourceVersion = strconv.Itoa(c.version)
	c.objects[key.Name] = stored
	r.managed.Set(key.Name, stored)
	c.tell(key.Name, stored)
	if c.crash == r {
		c.crash = nil
		return errDown
	}
	return nil
}

func (r *replica) Update(_ context.Context, name string, change func(*v1alpha1.SigningKey) error) error {
	c := r.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down.get() || r.cut.get() {
		return errDown
	}
	stored := c.objects[name]
	if stored == nil {
		return apierrors.NewNotFound(v1alpha1.Resource("signingkeys"), name)
	}
	changed := stored.DeepCopy()
	if err := change(changed); err != nil {
		return err
	}
	return r.put(changed)
}

// remove removes an object, as a command or the controller does.
func (c *cluster) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects[name] != nil {
		c.version++
		delete(c.objects, name)
		delete(c.private, SecretName(name))
		c.tell(name, nil)
	}
}

// viewBound is how old a view may be for its replica to sign.
const viewBound = 10 * time.Second

func (r *replica) Ensure(context.Context) error {
	if r.cut.get() || r.down.get() {
		if time.Since(r.seenAt.get()) > viewBound {
			return errDown
		}
	}
	return nil
}

func (r *replica) Known() bool { return true }

type secrets struct{ *cluster }

func (s secrets) Create(_ context.Context, name string, plain []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.private[name] != nil {
		return errors.New("there is one")
	}
	s.private[name] = plain
	return nil
}

func (s secrets) Get(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.private[name], nil
}

// issuedToken is a token that is out.
type issuedToken struct {
	keyID, signed, signature string
	end                      time.Time
}

// run is one random schedule.
type run struct {
	*cluster
	t      *testing.T
	random *rand.Rand
	// published says since when a key was in the store.
	published map[string]time.Time
	// leads are the lead times of keys, and forced the keys that were removed while tokens of theirs could live.
	leads  map[string]time.Duration
	forced map[string]bool
	tokens []issuedToken
	log    []string
	failed bool
}

const (
	maxSkew = 2 * time.Minute
	maxLag  = 2 * time.Second
)

func (r *run) fail(format string, arguments ...any) {
	r.failed = true
	r.t.Errorf(format, arguments...)
}

func (r *run) note(format string, arguments ...any) {
	r.log = append(r.log, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, arguments...))
}

// rotate prepares a key, as the API does: unless one is prepared.
func (r *run) rotate(on *replica, algorithm string, lead time.Duration) {
	stored, err := on.List(r.t.Context())
	if err != nil {
		return
	}
	schedule := Plan(stored, on.clock())
	if schedule.Prepared(algorithm) != nil {
		return
	}
	private, err := Generate(algorithm)
	if err != nil {
		r.t.Fatal(err)
	}
	name := ObjectName(algorithm, stored)
	if schedule.Active(algorithm) == nil && len(stored) > 0 {
		return // all were retired by hand
	}
	if err := on.managed.add(r.t.Context(), name, private, func(key *v1alpha1.SigningKey) { PlanKey(key, on.clock(), lead) }); err != nil {
		r.note("rotation: %v", err)
	}
	r.learn()
}

// learn notes since when keys are in the store.
func (r *run) learn() {
	for _, key := range r.all() {
		if _, ok := r.published[key.Spec.KeyID]; !ok {
			r.published[key.Spec.KeyID] = time.Now()
			r.leads[key.Spec.KeyID] = key.Spec.SignsFrom.Sub(key.Spec.PublishedFrom.Time)
			r.note("%s is stored, %s, signs from %s", key.Name, key.Spec.KeyID[:6], key.Spec.SignsFrom.UTC().Format("15:04:05"))
		}
	}
}

// collect removes what is gone by the clock of a replica, as the controller does, which waits a while first.
func (r *run) collect(on *replica) {
	stored, err := on.List(r.t.Context())
	if err != nil {
		return
	}
	schedule := Plan(stored, on.clock())
	for i := range schedule.Keys {
		l := &schedule.Keys[i]
		if l.State == v1alpha1.SigningKeyRetired && l.Key.Spec.RetiredFrom == nil && !l.RetiredSince.IsZero() {
			at := metav1.NewTime(l.RetiredSince)
			_ = on.Update(r.t.Context(), l.Key.Name, func(key *v1alpha1.SigningKey) error { key.Spec.RetiredFrom = &at; return nil })
		}
		if l.State == v1alpha1.SigningKeyGone {
			r.note("%s is removed", l.Key.Name)
			r.remove(l.Key.Name)
		}
	}
}

// sign has a replica sign a token, and checks what the token may be.
func (r *run) sign(on *replica, life time.Duration) {
	end := on.clock().Add(life).Truncate(time.Second)
	cut, since := on.cut.get() || r.down.get(), time.Since(on.seenAt.get())
	token, err := on.ring.Sign(r.t.Context(), "", []byte(`{}`), end)
	if err != nil {
		return
	}
	r.learn()
	header, payload, signature := split(r.t, token)
	made := issuedToken{keyID: keyIDOf(r.t, header), signed: header + "." + payload, signature: signature, end: end}
	r.tokens = append(r.tokens, made)
	r.note("a token of %s until %s", made.keyID[:6], end.UTC().Format("15:04:05"))
	if cut && since > viewBound {
		r.fail("(e) a replica that has known nothing of the store for %s signs", since)
	}
	key := r.stored(made.keyID)
	if key == nil {
		if since <= maxLag+viewBound {
			return // removed by force, and not known yet
		}
		r.fail("a token of a key that is not stored")
		return
	}
	if until := key.Status.TokensUntil; until == nil || until.Time.Before(end) {
		r.fail("(b) a token until %s is out, and the record of its key says %s", end, until)
	}
	if published := time.Since(r.published[made.keyID]); published < r.leads[made.keyID]-2*maxSkew {
		r.fail("(a) %s signs %s after it was published; its lead is %s", key.Name, published, r.leads[made.keyID])
	}
	if active := r.activeNow(on); !active[made.keyID] {
		r.fail("(d) %s signs; by the plan it is one of %v", made.keyID[:6], active)
	}
}

// activeNow returns the keys that may sign by the clock of a replica, with what it may know.
func (r *run) activeNow(on *replica) map[string]bool {
	may := map[string]bool{}
	keys := on.managed.Keys()
	schedule := Plan(keys, on.clock())
	if l := schedule.Active(DefaultAlgorithm); l != nil {
		may[l.Key.Spec.KeyID] = true
	}
	return may
}

func (r *run) stored(id string) *v1alpha1.SigningKey {
	for _, key := range r.all() {
		if key.Spec.KeyID == id {
			return key
		}
	}
	return nil
}

// check looks at what all replicas verify and publish.
func (r *run) check() {
	for i, on := range r.replicas {
		set := on.ring.fresh().set
		published, err := on.ring.Published()
		if err != nil {
			continue
		}
		// (c) What verifies is what is published, but for hidden keys.
		shown := map[string]bool{}
		for _, key := range published.keys {
			shown[key.id] = true
		}
		for _, key := range set.keys {
			if !shown[key.id] && !on.hidden(key.id) {
				r.fail("(c) replica %d accepts %s, and does not publish it", i, key.id[:6])
			}
			delete(shown, key.id)
			if key.Withdrawn() {
				r.fail("(c) replica %d has a key that is withdrawn", i)
			}
		}
		for id := range shown {
			r.fail("(c) replica %d publishes %s, and does not accept it", i, id[:6])
		}
		// (b) Every token that lives is accepted.
		for _, token := range r.tokens {
			if r.forced[token.keyID] || on.clock().After(token.end.Add(boundobject.Leeway)) {
				continue
			}
			if on.cut.get() && !on.ring.Holds(token.keyID) {
				continue // it says that it does not know
			}
			if err := on.accepts(r.t, token); err != nil {
				r.fail("(b) replica %d refuses a token of %s until %s: %v", i, token.keyID[:6], token.end.UTC().Format("15:04:05"), err)
			}
		}
	}
}

func (r *replica) hidden(id string) bool {
	for _, key := range r.managed.Keys() {
		if key.Spec.KeyID == id {
			return key.Spec.Hidden
		}
	}
	return false
}

// accepts verifies a token as an authenticator does.
func (r *replica) accepts(t *testing.T, token issuedToken) error {
	if !r.ring.Holds(token.keyID) {
		if err := r.ring.Find(t.Context(), token.keyID); err != nil {
			return nil //nolint:nilerr // no verdict
		}
	}
	_, err := r.ring.Verify("ES256", token.keyID, token.signed, token.signature)
	return err
}

// TestSchedules has replicas live through random schedules: rotations with short and long leads from any of them, tokens of
// all lives, stores that fail, replicas that are cut off, restarted or cut off in the middle of a write, clocks that are
// set, and keys that are retired or removed.
func TestSchedules(t *testing.T) {
	schedules := 300
	if testing.Short() {
		schedules = 50
	}
	for seed := range schedules {
		if t.Failed() {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			r := &run{
				cluster: newCluster(), t: t, random: rand.New(rand.NewPCG(uint64(seed), 15)),
				published: map[string]time.Time{}, leads: map[string]time.Duration{}, forced: map[string]bool{},
			}
			r.live()
			if r.failed {
				t.Logf("seed %d", seed)
				for _, line := range r.log {
					t.Log(line)
				}
			}
		})
	}
}

func (r *run) live() {
	span := func(limit time.Duration) time.Duration { return time.Duration(r.random.Int64N(int64(limit))) }
	skewed := func() time.Duration { return span(2*maxSkew) - maxSkew }
	for range 3 {
		r.start(skewed(), span(maxLag), time.Hour)
	}
	if err := r.replicas[0].managed.Prepare(r.t.Context(), Preparation{}); err != nil {
		r.t.Fatal(err)
	}
	r.learn()
	for range 120 {
		on := r.replicas[r.random.IntN(len(r.replicas))]
		switch r.random.IntN(24) {
		case 0:
			r.rotate(on, DefaultAlgorithm, 5*time.Minute+span(2*time.Hour))
		case 1:
			r.rotate(on, DefaultAlgorithm, 5*time.Minute)
		case 2:
			r.down.set(!r.down.get())
			for _, other := range r.replicas {
				if !other.cut.get() {
					other.seenAt.set(time.Now())
				}
			}
			r.note("store down: %t", r.down.get())
		case 3:
			on.cut.set(!on.cut.get())
			if !r.down.get() {
				on.seenAt.set(time.Now())
			}
			r.note("a replica is cut off: %t", on.cut.get())
			if !on.cut.get() {
				r.reconnect(on)
			}
		case 4:
			if !on.cut.get() { // a restart
				r.mu.Lock()
				r.replicas = slices.DeleteFunc(r.replicas, func(other *replica) bool { return other == on })
				r.mu.Unlock()
				on = r.start(skewed(), on.lag, time.Hour)
				r.note("a replica is restarted")
			}
		case 5:
			on.skew.set(skewed())
			r.note("a clock is set to %s", on.skew.get())
		case 6:
			r.mu.Lock()
			r.crash = on
			r.mu.Unlock()
		case 7, 8:
			r.collect(on)
		case 9:
			time.Sleep(span(6 * time.Hour))
		case 10, 11:
			time.Sleep(span(time.Hour))
		case 12, 13, 14:
			r.sign(on, 10*time.Minute)
		case 15, 16, 17:
			r.sign(on, time.Hour)
		case 19: // to just before the end of a token
			if len(r.tokens) > 0 {
				token := r.tokens[r.random.IntN(len(r.tokens))]
				if left := token.end.Sub(on.clock()); left > 0 {
					time.Sleep(left + boundobject.Leeway - time.Second)
				}
			}
		case 18:
			r.sign(on, span(48*time.Hour)+10*time.Minute)
		default:
			time.Sleep(span(5 * time.Second))
		}
		synctest.Wait()
		r.check()
		if r.failed {
			return
		}
	}
	time.Sleep(time.Hour) // what is under way ends
}

// reconnect has a view read everything anew.
func (r *run) reconnect(on *replica) {
	for _, key := range on.managed.Keys() {
		if r.all()[key.Name] == nil {
			on.managed.Set(key.Name, nil)
		}
	}
	for name, key := range r.all() {
		on.managed.Set(name, key)
	}
	on.seenAt.set(time.Now())
}

// split takes a token apart. The signature is decoded.
func split(t *testing.T, token string) (header, payload, signature string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("no token")
	}
	decoded, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	return parts[0], parts[1], string(decoded)
}

func keyIDOf(t *testing.T, header string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		KeyID string `json:"kid"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read.KeyID
}
