package view

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/internal/scheme"
)

// bound is how old what the model's views say may be.
const bound = 10 * time.Second

// truth is what was stored under a key from an instant on.
type truth struct {
	from  instant
	value string // empty where there was nothing
}

// model is a Set over a store with faults, and the truth about what is stored.
type model struct {
	t       *testing.T
	random  *rand.Rand
	store   *fakeStore
	set     *Set
	secrets *View[string]
	nodes   *View[string]
	past    map[string][]truth
	names   map[int64]map[string]string // what was stored, by version
	asleep  atomic.Int64                // how long the process stood still, in nanoseconds
	dawdles atomic.Int64                // how long it takes to decode an object
	start   time.Time
	trace   []string
	checked int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), store: newFakeStore(), start: time.Now(),
		past: map[string][]truth{}, names: map[int64]map[string]string{1: {}},
	}
	m.secrets = New(corev1.Resource("secrets"), false, func(obj runtime.Object) string { return obj.(*corev1.Secret).Labels["value"] })
	m.secrets.source = encoding{prefix: "/registry/secrets/", codec: scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), new: func() runtime.Object { m.dawdle(); return &corev1.Secret{} }}
	m.nodes = New(corev1.Resource("nodes"), true, func(obj runtime.Object) string { return obj.(*corev1.Node).Labels["value"] })
	m.nodes.source = encoding{
		prefix: "/registry/nodes/", clusterScoped: true, codec: scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), new: func() runtime.Object { m.dawdle(); return &corev1.Node{} },
	}
	m.set = NewSet(m.store, bound, m.secrets, m.nodes)
	m.set.now = m.clock
	return m
}

// clock is that of the bubble, and the time in which nothing ran.
func (m *model) clock() instant {
	return instant(time.Since(m.start)+time.Second) + instant(m.asleep.Load())
}

// dawdle has decoding take its time: what it is about may be over then.
func (m *model) dawdle() {
	if by := time.Duration(m.dawdles.Load()); by > 0 {
		time.Sleep(by)
	}
}

// keys are those of the objects in the model.
var keys = []string{"/registry/secrets/ns/a", "/registry/secrets/ns/b", "/registry/nodes/n"}

func encoded(key, value string) []byte {
	var obj runtime.Object = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: key[len(key)-1:], Labels: map[string]string{"value": value}}}
	if key == "/registry/nodes/n" {
		obj = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"value": value}}}
	}
	data, err := runtime.Encode(scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), obj)
	if err != nil {
		panic(err)
	}
	return data
}

// write stores, deletes or spoils some objects at once, as another process does. Sometimes the watches stall in the middle of
// it.
func (m *model) write() (did string) {
	m.store.change(func() {
		m.store.left, m.store.batch = m.random.IntN(4), 1+m.random.IntN(3)
		if m.store.left > 0 {
			did = fmt.Sprintf("the watches stall after %d responses; ", m.store.left)
		}
		for range 1 + m.random.IntN(4) {
			did += m.writeOne() + "; "
		}
	})
	return did
}

func (m *model) writeOne() string {
	key := keys[m.random.IntN(len(keys))]
	value, data := "", []byte(nil)
	switch m.random.IntN(6) {
	case 0:
		data = []byte("garbage") // which is as good as nothing to whoever reads
	case 1, 2:
	default:
		value = fmt.Sprint(m.store.version + 1)
		data = encoded(key, value)
	}
	m.store.put(key, data)
	now := maps.Clone(m.names[m.store.version-1])
	now[key] = value
	m.names[m.store.version] = now
	m.past[key] = append(m.past[key], truth{m.clock(), value})
	return fmt.Sprintf("wrote %q to %s", value, key)
}

// step does one thing at random.
func (m *model) step() string {
	switch m.random.IntN(17) {
	case 0, 1, 2, 3:
		return m.write()
	case 4:
		m.store.change(func() { m.store.hangs = !m.store.hangs })
		return fmt.Sprint("the store hangs: ", m.store.hangs)
	case 5:
		m.store.change(func() { m.store.fails = !m.store.fails })
		return fmt.Sprint("the store fails: ", m.store.fails)
	case 6, 7, 8:
		return m.watchFault()
	case 9:
		m.store.change(func() { m.store.compacted = m.store.version - 1 })
		return "the store is compacted"
	case 10:
		return m.restore()
	case 11:
		by := time.Duration(m.random.IntN(30)) * time.Second
		m.asleep.Add(int64(by))
		return fmt.Sprintf("the process stands still for %s", by)
	case 12:
		by := time.Duration(m.random.IntN(2)*m.random.IntN(2900)) * time.Millisecond
		m.store.change(func() { m.store.slow = by })
		return fmt.Sprintf("answers take %s", by)
	case 13:
		by := time.Duration(m.random.IntN(2)*m.random.IntN(1500)) * time.Millisecond
		m.dawdles.Store(int64(by))
		return fmt.Sprintf("an object is decoded in %s", by)
	default:
		by := time.Duration(m.random.IntN(4000)) * time.Millisecond
		m.pass(by)
		return fmt.Sprintf("%s pass", by)
	}
}

// pass lets time pass, and has a look often.
func (m *model) pass(by time.Duration) {
	for ; by > 0; by -= 200 * time.Millisecond {
		time.Sleep(min(by, 200*time.Millisecond))
		synctest.Wait()
		m.check()
	}
}

// watchFault does something to the watches at random.
func (m *model) watchFault() string {
	switch m.random.IntN(3) {
	case 0:
		m.store.change(func() { m.store.stalled = m.store.streams })
		return "the watches stall"
	case 1:
		m.store.change(func() { m.store.mute = !m.store.mute })
		return fmt.Sprint("all watches are mute: ", m.store.mute)
	default:
		m.store.change(func() {
			for _, w := range m.store.watchers {
				w.broken = true
			}
		})
		return "the watches break"
	}
}

// restore goes back to an older state. Sometimes views are busy then with what came last.
func (m *model) restore() (did string) {
	if m.random.IntN(2) == 0 {
		m.dawdles.Store(int64(1200 * time.Millisecond))
		did = m.write()
		synctest.Wait()
	}
	version := 1 + m.random.Int64N(m.store.version)
	m.store.change(func() {
		m.store.compacted = 0
		m.store.restore(version, m.random.IntN(2) == 0)
	})
	for _, key := range keys {
		m.past[key] = append(m.past[key], truth{m.clock(), m.names[version][key]})
	}
	if did != "" && m.random.IntN(2) == 0 {
		m.asleep.Add(int64(bound + time.Second))
		m.store.change(func() { m.store.hangs, m.store.fails, m.store.slow = false, false, 0 })
		m.pass(3 * time.Second)
		did += "and all is well while views are busy with that; "
	}
	return did + fmt.Sprintf("version %d is restored", version)
}

// check compares what memory says with the truth: where the Set says that it is current, each object must be as it was at
// some instant within the bound.
func (m *model) check() {
	stamp := m.set.Stamp()
	for _, key := range keys {
		got := m.get(key)
		if !m.set.Current(stamp) {
			continue
		}
		m.checked++
		if !m.wasTrue(key, got) {
			m.t.Fatalf("%s is said to be %q, which it has not been for %s; after:\n%q", key, got, bound, m.trace)
		}
	}
}

func (m *model) get(key string) string {
	if key == "/registry/nodes/n" {
		value, _ := m.nodes.Get("", "n")
		return value
	}
	value, _ := m.secrets.Get("ns", key[len(key)-1:])
	return value
}

// wasTrue reports whether an object had a value at some instant within the bound, by the time that
// really passed.
func (m *model) wasTrue(key, value string) bool {
	now := m.clock()
	past := m.past[key]
	if value == "" && (len(past) == 0 || now.since(past[0].from) <= bound) {
		return true
	}
	for i, was := range past {
		ended := i+1 < len(past) && now.since(past[i+1].from) > bound
		if was.value == value && !ended {
			return true
		}
	}
	return false
}

// TestCurrentOrNotAtAll plays random faults: reads that hang, fail or are slow, watches that stall, also between two events of
// one moment, break, are mute or are compacted away, an older state that is restored, a process that stands still, objects
// that can't be decoded and some that take long.
// Whenever the Set calls itself current, what it says was true within the bound; and once the faults are over it soon is
// current, and says what is stored.
func TestCurrentOrNotAtAll(t *testing.T) {
	runs := uint64(2000)
	if testing.Short() {
		runs = 200
	}
	checked := 0
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) { checked += playFaults(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d runs, %d answers held against the truth", runs, checked)
	if checked < int(runs)*10 {
		t.Errorf("only %d answers were checked in %d runs", checked, runs)
	}
}

func playFaults(t *testing.T, seed uint64) int {
	m := newModel(t, seed)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.set.Run(ctx); close(done) }()
	for range 40 {
		m.trace = append(m.trace, m.step())
		synctest.Wait()
		m.check()
	}
	// Streams that stall never come back, and some watches bring nothing for ever: reads are enough.
	m.store.change(func() { m.store.hangs, m.store.fails, m.store.slow = false, false, 0 })
	m.dawdles.Store(0)
	time.Sleep(30 * time.Second)
	synctest.Wait()
	if err := m.set.Ensure(ctx); err != nil {
		t.Errorf("not current when all was well again: %v; after:\n%q", err, m.trace)
	}
	for _, key := range keys {
		if got, want := m.get(key), m.names[m.store.version][key]; got != want {
			t.Errorf("%s is said to be %q when all was well again, and is %q; after:\n%q", key, got, want, m.trace)
		}
	}
	cancel()
	<-done
	return m.checked
}
